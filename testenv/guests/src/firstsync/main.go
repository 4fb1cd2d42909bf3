// Command firstsync is a plugin for tests whose OnInit pings Navidrome, and
// fails if that does not answer.
package main

import (
	"context"
	"errors"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/subsonicapi"
)

func init() {
	api.RegisterLifecycleManagement(lifecycle{})
	api.RegisterMetadataAgent(agent{})
}

func main() {}

type lifecycle struct{}

func (lifecycle) OnInit(ctx context.Context, _ *api.InitRequest) (*api.InitResponse, error) {
	answer, err := subsonicapi.NewSubsonicAPIService().Call(ctx, &subsonicapi.CallRequest{Url: "/rest/ping?u=joe"})
	if err == nil && answer.Error != "" {
		err = errors.New(answer.Error)
	}
	return &api.InitResponse{}, err
}

// agent answers once there was a first synchronisation.
type agent struct{ api.UnimplementedMetadataAgent }

func (agent) GetArtistBiography(context.Context, *api.ArtistBiographyRequest) (*api.ArtistBiographyResponse, error) {
	return &api.ArtistBiographyResponse{Biography: "synchronised"}, nil
}
