// Package bus is the host's side of NATS: the connection or the embedded
// server, the endpoints of plugins, discovery (ADR-32), control requests,
// heartbeats and JetStream assets. It knows nothing of WebAssembly; what an
// endpoint does is given to it as functions on bytes.
//
// A Bus is opened first and closed last. Endpoints, responders and heartbeats
// belong to whoever started them, who stops them before the Bus.
package bus
