// Package call is what a call of a plugin is, whatever it comes over. A [Server] finds the
// method, admits the call, bounds its time, converts JSON, runs it, makes a failure with a
// code of what it ended with, and tells an [Observer]. Whatever a call comes over reads a
// [Request] and is the [Replier]: NATS in packages bus and client, tests of plugins in
// package plugintest. The package knows neither NATS nor WebAssembly.
package call
