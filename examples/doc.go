// Package examples holds whole programs, one to a folder, in a module of its own: what they
// need never becomes a dependency of the library.
//
//   - shop: one web shop before, tuned and after, with everything measured
//   - compose: every layer in the recommended order
//   - migrate: the old code of others' packages beside the new
//   - frameworks: routers, GraphQL and databases of others (a module of its own)
//   - batchpage: a page that one request fills, without a client library
//   - sidecar: a cache in front of any server
//   - grafana: dashboard, rules and alerts
//   - sse, brrr: what event streams cost, and a brotli encoder of another maker
package examples
