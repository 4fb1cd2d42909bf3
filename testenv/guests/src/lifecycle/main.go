// Command lifecycle is a plugin for tests whose OnInit does what its
// configuration says.
package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/config"
)

func init() {
	api.RegisterLifecycleManagement(lifecycle{})
	api.RegisterMetadataAgent(agent{})
}

func main() {}

type lifecycle struct{}

func (lifecycle) OnInit(_ context.Context, request *api.InitRequest) (*api.InitResponse, error) {
	switch request.Config["returnerror"] {
	case "go_error":
		return nil, errors.New("initialization failed")
	case "response_error":
		return &api.InitResponse{Error: "initialization failed"}, nil
	case "panic":
		panic("asked to")
	case "loop":
		for {
			os.Stderr.Sync()
		}
	}
	return &api.InitResponse{}, nil
}

// agent tells the plugin's configuration as a biography.
type agent struct{ api.UnimplementedMetadataAgent }

func (agent) GetArtistBiography(ctx context.Context, _ *api.ArtistBiographyRequest) (*api.ArtistBiographyResponse, error) {
	response, err := config.NewConfigService().GetPluginConfig(ctx, &config.GetPluginConfigRequest{})
	if err != nil {
		return nil, err
	}
	text := ""
	for _, key := range slices.Sorted(maps.Keys(response.Config)) {
		text += fmt.Sprintf("%s=%s\n", key, response.Config[key])
	}
	return &api.ArtistBiographyResponse{Biography: text}, nil
}
