// Package api is what a plugin imports: the capabilities it can implement, the
// messages they exchange and, in the packages under host, the services of the
// host.
//
// A plugin is a Go program built with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o plugin.wasm .
//
// It registers its implementations in an init function; main never runs:
//
//	func init() { api.RegisterMetadataAgent(agent{}) }
//
//	func main() {}
//
// The contract is that of Navidrome 0.57 to 0.59: a plugin written for it
// compiles after changing its import paths, and one compiled for it runs as it
// is.
package api
