// Package wasmrt runs plugins: it compiles a WebAssembly module once, keeps
// instances of it and calls their exports with bytes, as the binary interface
// of go-plugin defines it. It knows nothing of what the bytes mean, of NATS or
// of permissions.
//
// A Runtime holds what all plugins of a process share, the compile cache and
// the bound on concurrent compilations. A Module is one plugin in memory: code,
// instances and the functions its guest may call. Whoever loads a Module closes
// it.
package wasmrt
