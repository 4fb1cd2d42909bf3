package config

import (
	"context"

	"github.com/pluginhost/pluginhost/sdk/api/host"
	api "github.com/pluginhost/pluginhost/sdk/api/host/config"
)

// Functions are those that a guest imports of a service, such as Service. A request has
// nothing in it that matters, so one that is too long is answered as any other.
func Functions(service api.ConfigService) []host.Function {
	return host.Limited(api.Functions(service), map[string]host.Limit{
		"get_plugin_config": {MaxRequest: host.Framing, Refuse: host.Answer(func(ctx context.Context, _ error) (*api.GetPluginConfigResponse, error) {
			return service.GetPluginConfig(ctx, &api.GetPluginConfigRequest{})
		})},
	})
}
