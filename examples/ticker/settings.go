package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pluginhost/pluginhost/sdk/api/host/config"
)

const (
	// defaultFeed is a placeholder: set feed, and allowedUrls in the manifest.
	defaultFeed = "wss://feed.example.com/prices"
	maxSymbols  = 50
)

// settings are the entries of [PluginConfig.ticker].
type settings struct {
	feed        string
	symbols     []string
	webhook     string
	movePercent float64
	summary     string // a cron expression; empty is never
}

// settings reads the configuration, at every call: a plugin keeps nothing.
func (t ticker) settings(ctx context.Context) (settings, error) {
	response, err := t.config.GetPluginConfig(ctx, &config.GetPluginConfigRequest{})
	if err != nil {
		return settings{}, fmt.Errorf("read the configuration: %w", err)
	}
	return parseSettings(response.Config)
}

func parseSettings(entries map[string]string) (settings, error) {
	found := settings{
		feed:        strings.TrimSpace(entries["feed"]),
		webhook:     strings.TrimSpace(entries["webhook"]),
		movePercent: 1,
		summary:     strings.TrimSpace(entries["summary"]),
	}
	if found.feed == "" {
		found.feed = defaultFeed
	}
	for symbol := range strings.SplitSeq(entries["symbols"], ",") {
		if symbol = strings.TrimSpace(symbol); symbol != "" && !slices.Contains(found.symbols, symbol) {
			found.symbols = append(found.symbols, symbol)
		}
	}
	switch {
	case len(found.symbols) == 0 || len(found.symbols) > maxSymbols:
		return settings{}, fmt.Errorf("configuration: symbols has %d of them: want 1 to %d, separated by commas", len(found.symbols), maxSymbols)
	case found.webhook == "":
		return settings{}, errors.New("configuration: webhook is missing: set it to the address that receives the moves")
	}
	if text := entries["move_percent"]; text != "" {
		percent, err := strconv.ParseFloat(text, 64)
		if err != nil || !(percent > 0 && percent <= 100) {
			return settings{}, fmt.Errorf("configuration: move_percent is %.40q: want more than 0, up to 100", text)
		}
		found.movePercent = percent
	}
	return found, nil
}
