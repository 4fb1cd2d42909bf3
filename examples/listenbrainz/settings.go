package main

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"github.com/pluginhost/pluginhost/sdk/api/host/config"
)

const tokenPrefix = "token_"

// token returns the token of a user from [PluginConfig.listenbrainz], empty if there is none. Keys are in lower case there. The id
// counts where Navidrome leaves the name out.
func (s scrobbler) token(ctx context.Context, userID, username string) (string, error) {
	response, err := s.config.GetPluginConfig(ctx, &config.GetPluginConfigRequest{})
	if err != nil {
		return "", fmt.Errorf("read the configuration: %w", err)
	}
	for _, user := range []string{username, userID} {
		key := tokenPrefix + strings.ToLower(user)
		token := strings.TrimSpace(response.Config[key])
		if user == "" || token == "" {
			continue
		}
		if strings.ContainsFunc(token, unicode.IsControl) {
			return "", fmt.Errorf("configuration: %s has a line break or another control character", key)
		}
		return token, nil
	}
	return "", nil
}
