package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/pluginhost/pluginhost/sdk/api/host/config"
)

const (
	// defaultGateway is a placeholder: set gateway, and allowedUrls in the manifest.
	defaultGateway = "wss://gateway.example.com/?v=10&encoding=json"
	tokenPrefix    = "token_"
)

// settings are the entries of [PluginConfig.presence].
type settings struct {
	gateway          string
	tokens           map[string]string // by account
	reconnectSeconds int32
}

// settings reads the configuration, at every call: a plugin keeps nothing.
func (p *presence) settings(ctx context.Context) (settings, error) {
	response, err := p.config.GetPluginConfig(ctx, &config.GetPluginConfigRequest{})
	if err != nil {
		return settings{}, fmt.Errorf("read the configuration: %w", err)
	}
	found := settings{gateway: defaultGateway, tokens: make(map[string]string), reconnectSeconds: 15}
	for key, value := range response.Config {
		if account, is := strings.CutPrefix(key, tokenPrefix); is && account != "" && value != "" {
			found.tokens[account] = value
		}
	}
	if text := strings.TrimSpace(response.Config["gateway"]); text != "" {
		found.gateway = text
	}
	if text := response.Config["reconnect_seconds"]; text != "" {
		seconds, err := strconv.ParseInt(text, 10, 32)
		if err != nil || seconds < 1 || seconds > 3600 {
			return settings{}, fmt.Errorf("configuration: reconnect_seconds is %.40q: want 1 to 3600", text)
		}
		found.reconnectSeconds = int32(seconds)
	}
	return found, nil
}

// account returns what names a user in the configuration, which has its keys in
// lower case: the name, or the id where Navidrome leaves the name out.
func (s settings) account(userID, username string) (string, bool) {
	for _, account := range []string{strings.ToLower(username), strings.ToLower(userID)} {
		if s.tokens[account] != "" {
			return account, true
		}
	}
	return "", false
}
