package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pluginhost/pluginhost/sdk/api/host/config"
)

// settings are the entries of [PluginConfig.nowplaying].
type settings struct {
	url          string
	quietSeconds int64
}

// settings reads the configuration, at every call: a plugin keeps nothing.
func (s scrobbler) settings(ctx context.Context) (settings, error) {
	response, err := s.config.GetPluginConfig(ctx, &config.GetPluginConfigRequest{})
	if err != nil {
		return settings{}, fmt.Errorf("read the configuration: %w", err)
	}
	found := settings{url: strings.TrimSpace(response.Config["url"]), quietSeconds: 60 * 60}
	if found.url == "" {
		return settings{}, errors.New("configuration: url is missing: set it to the address of a Discord webhook")
	}
	if text := response.Config["quiet_minutes"]; text != "" {
		minutes, err := strconv.Atoi(text)
		if err != nil || minutes < 1 || minutes > 7*24*60 {
			return settings{}, fmt.Errorf("configuration: quiet_minutes is %.40q: want 1 to 10080", text)
		}
		found.quietSeconds = int64(minutes) * 60
	}
	return found, nil
}
