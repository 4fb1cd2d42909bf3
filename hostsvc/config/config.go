// Package config is the host service that hands a plugin its configuration.
package config

import (
	"context"
	"maps"

	api "github.com/pluginhost/pluginhost/sdk/api/host/config"
)

// Service holds the configuration of one plugin. It has nothing to close and is
// safe for concurrent use.
type Service struct {
	entries map[string]string
}

var _ api.ConfigService = (*Service)(nil)

// New makes the service for a plugin with these entries, which are copied; nil is
// none. Keys are lower-case and values strings already: the loader of the
// configuration file makes them so.
func New(entries map[string]string) *Service {
	return &Service{entries: maps.Clone(entries)}
}

// GetPluginConfig returns a copy of all entries, an empty map when there are none.
// The error is always nil.
func (s *Service) GetPluginConfig(context.Context, *api.GetPluginConfigRequest) (*api.GetPluginConfigResponse, error) {
	entries := make(map[string]string, len(s.entries))
	maps.Copy(entries, s.entries)
	return &api.GetPluginConfigResponse{Config: entries}, nil
}
