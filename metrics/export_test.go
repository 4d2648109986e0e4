package metrics

import (
	"reflect"

	"github.com/prometheus/client_golang/prometheus"
)

// CollectorOf is Collector for a type that is made at run time, holding zero values.
func CollectorOf(name string, t reflect.Type) prometheus.Collector {
	return newCollector(name, t, func() reflect.Value { return reflect.New(t).Elem() })
}
