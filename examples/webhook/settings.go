package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/pluginhost/pluginhost/sdk/api/host/config"
)

// settings are the entries of [PluginConfig.webhook].
type settings struct {
	url   string
	token string
	users []string // empty is everybody
}

// settings reads the configuration, at every call: a plugin keeps nothing.
func (s scrobbler) settings(ctx context.Context) (settings, error) {
	response, err := s.config.GetPluginConfig(ctx, &config.GetPluginConfigRequest{})
	if err != nil {
		return settings{}, fmt.Errorf("read the configuration: %w", err)
	}
	entries := response.Config
	found := settings{url: strings.TrimSpace(entries["url"]), token: strings.TrimSpace(entries["token"])}
	switch {
	case found.url == "":
		return settings{}, errors.New("configuration: url is missing: set it to the address that receives the events")
	case !strings.HasPrefix(found.url, "https://") && !strings.HasPrefix(found.url, "http://"):
		return settings{}, errors.New("configuration: url must begin with https:// or http://")
	case strings.ContainsFunc(found.token, unicode.IsControl):
		return settings{}, errors.New("configuration: token has a line break or another control character")
	}
	for name := range strings.SplitSeq(entries["users"], ",") {
		if name = strings.TrimSpace(name); name != "" {
			found.users = append(found.users, name)
		}
	}
	return found, nil
}

// reports tells whether the plays of a user are posted. Case does not count in
// user names.
func (s settings) reports(username string) bool {
	return len(s.users) == 0 || slices.ContainsFunc(s.users, func(name string) bool { return strings.EqualFold(name, username) })
}
