//go:build wasip1

// Command extism is the plugin noop for a host with Extism's SDK: it decodes the
// same request and returns the same message.
package main

import "github.com/pluginhost/pluginhost/sdk/api"

func main() {} // never runs

// biography is that of noop.
const biography = "She was a singer, songwriter, pianist and arranger."

// failed is what an export returns where it has no output.
const failed = 1

//go:wasmexport get_artist_biography
func getArtistBiography() int32 {
	var request api.ArtistBiographyRequest
	if request.UnmarshalVT(input()) != nil {
		return failed
	}
	response, err := (&api.ArtistBiographyResponse{Biography: biography}).MarshalVT()
	if err != nil {
		return failed
	}
	output(response)
	return 0
}
