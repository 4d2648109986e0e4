// Package frameworks shows hotpath with frameworks of others: one folder for each.
//
// Most of them show how metrics.HTTP learns the route of a request. Its Handler stands around the whole
// framework, where a returned error has become a status. ServeMux and echo set [net/http.Request.Pattern] on
// the request that they were given, and need nothing. gin knows its template and is told to set it. chi,
// gorilla/mux and grpc-gateway copy the request: package route carries the name back. connect mounts its
// procedures on a ServeMux.
//
// gqlgen starts resolvers that a scope of package batch does not know of: an extension makes them its tasks,
// so that a nested query is one fetch a level. pgx exports what its pool counts.
package frameworks
