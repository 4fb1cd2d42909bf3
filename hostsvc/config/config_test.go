package config_test

import (
	"maps"
	"testing"

	"github.com/pluginhost/pluginhost/hostsvc/config"
	api "github.com/pluginhost/pluginhost/sdk/api/host/config"
)

func TestThePluginGetsItsEntries(t *testing.T) {
	tests := map[string]map[string]string{
		"some entries":     {"apikey": "s3cret", "users": "ann,bob", "enabled": "1"},
		"an empty section": {},
		"no section":       nil,
	}
	for name, entries := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := config.New(entries).GetPluginConfig(t.Context(), &api.GetPluginConfigRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if got.Config == nil || !maps.Equal(got.Config, entries) {
				t.Fatalf("got %#v, want %#v and never nil", got.Config, entries)
			}
		})
	}
}

func TestChangingAnAnswerDoesNotChangeTheNextOne(t *testing.T) {
	service := config.New(map[string]string{"key": "value"})
	first, _ := service.GetPluginConfig(t.Context(), nil)
	first.Config["key"] = "changed"
	first.Config["new"] = "entry"
	second, _ := service.GetPluginConfig(t.Context(), nil)
	if want := map[string]string{"key": "value"}; !maps.Equal(second.Config, want) {
		t.Fatalf("got %v, want %v", second.Config, want)
	}
}

func TestChangingTheGivenEntriesDoesNotChangeTheService(t *testing.T) {
	entries := map[string]string{"key": "value"}
	service := config.New(entries)
	entries["key"] = "changed"
	got, _ := service.GetPluginConfig(t.Context(), nil)
	if got.Config["key"] != "value" {
		t.Fatalf("got %v, want the entry as it was given", got.Config)
	}
}
