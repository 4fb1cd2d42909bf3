// Package wasmrt runs plugins: it compiles a WebAssembly module once, keeps
// instances of it and calls their exports with bytes, as an ABI defines it: that
// of go-plugin is GoPlugin. It knows nothing of what the bytes mean, of NATS or
// of permissions.
//
// A Runtime holds what all plugins of a process share: the compile cache, the
// bounds on memory and on guests that compute, and the way in which memory is
// restored. A Module is one plugin in memory: code, the image from which each
// call starts, instances and the functions its guest may call. Whoever loads a
// Module closes it.
//
// On its way in a module is rewritten, so that guests give way (internal/rewrite,
// giveway.go, turn.go). A call goes through the queue and the slots of its module
// (pool.go) to an instance (instance.go, call.go), whose ABI takes it through the guest
// (abi.go, goplugin.go, gopluginguest.go), and the instance is put back to the image after
// the reply (image.go, memory.go, isolator.go).
package wasmrt
