// Package bus is the host's side of NATS: the connections or the embedded server, the endpoints of
// plugins, discovery (ADR-32), control requests, and the packages of the cluster. It knows nothing of
// WebAssembly; what an endpoint does is given to it as functions on bytes. What replicas agree on and
// keep is in the packages below it, which use JetStream by the handle that Bus.Jet returns.
//
// A Bus is opened first and closed last. Endpoints, responders and whatever uses its handle belong to
// whoever started them, who stops them before the Bus.
package bus
