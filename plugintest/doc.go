// Package plugintest runs a plugin under go test as a host would: compiled to
// WebAssembly, in the real runtime, with the real host services. Only what lies beyond
// these is made up: web and WebSocket servers, Navidrome, the clock of schedules, and
// where the cache and the schedules are kept. No test needs NATS or the network.
//
//	func TestArtistsHaveABiography(t *testing.T) {
//		host := plugintest.Load(t, ".")
//		host.SetConfig("language", "de")
//		host.HTTP("https://de.wikipedia.org", pages)
//		answer, err := host.MetadataAgent().GetArtistBiography(t.Context(), &api.ArtistBiographyRequest{Name: "Kiss"})
//		…
//	}
//
// A Host has the defaults of a host where nothing else is said: what the manifest does not
// allow is refused, limits are those of the authors' guide, and nothing is left of a call
// in the memory of the plugin.
package plugintest
