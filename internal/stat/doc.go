// Package stat holds the counters and histograms under every Stats of hotpath: cheap enough
// to be always on, and independent of any metrics system.
package stat
