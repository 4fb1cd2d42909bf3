package api_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/pluginhost/pluginhost/sdk/api"
)

// agent knows the pages of a few artists. What it does not write is ErrNotImplemented.
type agent struct {
	api.UnimplementedMetadataAgent
	pages map[string]string
}

func (a agent) GetArtistURL(_ context.Context, request *api.ArtistURLRequest) (*api.ArtistURLResponse, error) {
	page, found := a.pages[request.Name]
	if !found {
		return nil, api.ErrNotFound
	}
	return &api.ArtistURLResponse{Url: page}, nil
}

// A plugin implements a capability, and registers it in an init function of package main. What it implements is plain Go, which
// its tests call.
func Example() {
	plugin := agent{pages: map[string]string{"Nina Simone": "https://www.ninasimone.com"}}
	api.RegisterMetadataAgent(plugin)

	ctx := context.Background()
	answer, err := plugin.GetArtistURL(ctx, &api.ArtistURLRequest{Name: "Nina Simone"})
	fmt.Println(answer.Url, err)
	_, err = plugin.GetArtistURL(ctx, &api.ArtistURLRequest{Name: "Nobody"})
	fmt.Println(errors.Is(err, api.ErrNotFound))
	_, err = plugin.GetArtistImages(ctx, &api.ArtistImageRequest{Name: "Nina Simone"})
	fmt.Println(err)
	// Output:
	// https://www.ninasimone.com <nil>
	// true
	// plugin:not_implemented
}
