package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/pluginhost/pluginhost/sdk/api/host/config"
)

// maxSuffixes bounds the requests of one call.
const maxSuffixes = 4

// What English Wikipedia needs. Other languages have no defaults.
const (
	englishSuffixes = "band, musician, singer, rapper"
	englishWords    = "band, music, record, singer, songwriter, rapper, vocal, soprano, tenor, composer, conductor, guitarist, " +
		"bassist, drummer, pianist, organist, violinist, cellist, saxophonist, trumpeter, dj, duo, trio, quartet, quintet, " +
		"orchestra, choir, ensemble, group"
)

// languagePattern is what may stand in front of .wikipedia.org.
var languagePattern = regexp.MustCompile(`^[a-z][a-z0-9-]{1,15}$`)

// settings are the entries of [PluginConfig.wikipedia].
type settings struct {
	baseURL  string
	suffixes []string
	words    []string
}

// settings reads the configuration, at every call: a plugin keeps nothing.
func (a agent) settings(ctx context.Context) (settings, error) {
	response, err := a.config.GetPluginConfig(ctx, &config.GetPluginConfigRequest{})
	if err != nil {
		return settings{}, fmt.Errorf("read the configuration: %w", err)
	}
	entries := response.Config
	language := entries["language"]
	if language == "" {
		language = "en"
	}
	if !languagePattern.MatchString(language) {
		return settings{}, fmt.Errorf("configuration: language %.40q is not a code such as en or pt-br", language)
	}
	s := settings{baseURL: "https://" + language + ".wikipedia.org"}
	if baseURL := entries["base_url"]; baseURL != "" {
		if !isWebAddress(baseURL) {
			return settings{}, fmt.Errorf("configuration: base_url %.200q does not begin with https:// or http://", baseURL)
		}
		s.baseURL = strings.TrimRight(baseURL, "/")
	}
	suffixes, words := "", ""
	if language == "en" {
		suffixes, words = englishSuffixes, englishWords
	}
	s.suffixes = list(entries, "suffixes", suffixes)
	if len(s.suffixes) > maxSuffixes {
		return settings{}, fmt.Errorf("configuration: suffixes has %d entries, at most %d are allowed", len(s.suffixes), maxSuffixes)
	}
	s.words = list(entries, "words", words)
	for i, word := range s.words {
		s.words[i] = strings.ToLower(word)
	}
	return s, nil
}

// list splits an entry at its commas. An empty entry is an empty list.
func list(entries map[string]string, key, otherwise string) []string {
	text, ok := entries[key]
	if !ok {
		text = otherwise
	}
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}
