// Package frameworks shows how metrics.HTTP learns the route of a request from routers of others: one
// folder for each. Its Handler stands around the whole framework, where a returned error has become a
// status.
//
// ServeMux and echo set [net/http.Request.Pattern] on the request that they were given, and need nothing. gin
// knows its template and is told to set it. chi, gorilla/mux and grpc-gateway copy the request: package
// route carries the name back. connect mounts its procedures on a ServeMux.
package frameworks
