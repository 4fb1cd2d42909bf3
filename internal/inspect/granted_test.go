package inspect_test

import (
	"slices"
	"testing"

	"github.com/pluginhost/pluginhost/internal/inspect"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

func TestMethodsAreGrantedAsTheManifestHasThem(t *testing.T) {
	all := []string{"delete", "get", "head", "options", "patch", "post", "put"}
	for name, test := range map[string]struct {
		allowed map[string]any
		want    []string
	}{
		"one":              {map[string]any{"https://a.example/*": []string{"GET"}}, []string{"get"}},
		"of two addresses": {map[string]any{"https://a.example/*": []string{"GET"}, "https://b.example/*": []string{"POST", "HEAD"}}, []string{"get", "head", "post"}},
		"any":              {map[string]any{"https://a.example/*": []string{"GET"}, "https://b.example/*": []string{"*"}}, all},
	} {
		t.Run(name, func(t *testing.T) {
			manifest, _, err := plugin.ParseManifest(testenv.Manifest(map[string]any{"http": map[string]any{"reason": "r", "allowedUrls": test.allowed}}, plugin.MetadataAgent))
			if err != nil {
				t.Fatal(err)
			}
			r := inspect.Plugin(t.Context(), manifest, guests.Handmade{Imports: []string{"get"}}.Bytes(), nil)
			if !slices.Equal(r.Granted, test.want) {
				t.Errorf("granted are %v, want %v", r.Granted, test.want)
			}
			// A module may import what is refused at each request.
			if r := inspect.Plugin(t.Context(), manifest, guests.Handmade{Imports: []string{"delete"}}.Bytes(), nil); len(r.Faults) > 0 {
				t.Errorf("the faults are %v", r.Faults)
			}
		})
	}
}
