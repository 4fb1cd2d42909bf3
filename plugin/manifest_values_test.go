package plugin

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"sync"
	"testing"
)

func TestManifestHoldsWhatTheFileSays(t *testing.T) {
	manifest := mustParse(t, manifestText(change{
		"capabilities": `["Scrobbler", "MetadataAgent", "Scrobbler"]`,
		"permissions": `{
			"http": {"reason": "h", "allowedUrls": {"https://a.com/*": ["GET", "POST"], "*": null}, "allowLocalNetwork": true},
			"config": {"reason": "c"},
			"scheduler": {"reason": "s"},
			"websocket": {"reason": "w", "allowedUrls": ["wss://a.com", "ws://b.com"], "allowLocalNetwork": true},
			"cache": {"reason": "k"},
			"artwork": {"reason": "a"},
			"subsonicapi": {"reason": "u", "allowedUsernames": ["bob", "eve"], "allowAdmins": true},
			"zeta": {}, "alpha": null
		}`,
	}))
	want := &Manifest{
		Name: "Covers", Author: "Someone", Version: "1.2.3", Description: "Finds covers", Website: "https://example.com",
		Capabilities: []string{Scrobbler, MetadataAgent},
		Permissions: Permissions{
			HTTP:        &HTTPPermission{Reason: "h", AllowedURLs: map[string][]string{"https://a.com/*": {"GET", "POST"}, "*": nil}, AllowLocalNetwork: true},
			Config:      &Permission{Reason: "c"},
			Scheduler:   &Permission{Reason: "s"},
			WebSocket:   &WebSocketPermission{Reason: "w", AllowedURLs: []string{"wss://a.com", "ws://b.com"}, AllowLocalNetwork: true},
			Cache:       &Permission{Reason: "k"},
			Artwork:     &Permission{Reason: "a"},
			SubsonicAPI: &SubsonicAPIPermission{Reason: "u", AllowedUsernames: []string{"bob", "eve"}, AllowAdmins: true},
			Unknown:     []string{"alpha", "zeta"},
		},
		Contract: Navidrome058,
	}
	if !reflect.DeepEqual(manifest, want) {
		t.Errorf("manifest\n  %s\nwant\n  %s", asJSON(t, manifest), asJSON(t, want))
	}
}

func TestManifestWritesTheKeysItReads(t *testing.T) {
	manifest := mustParse(t, manifestText(change{
		"permissions": `{"http": {"reason": "h", "allowedUrls": {"*": ["GET"]}}, "websocket": {"reason": "w", "allowedUrls": ["wss://a"]}, "subsonicapi": {"reason": "u", "allowedUsernames": ["bob"]}, "cache": {"reason": "k"}}`,
	}))
	if again := mustParse(t, asJSON(t, manifest)); !reflect.DeepEqual(again, manifest) {
		t.Errorf("read again\n  %s\nwant\n  %s", asJSON(t, again), asJSON(t, manifest))
	}
}

func asJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestKeysInAnotherCaseTakeEffect(t *testing.T) {
	permissions := mustParse(t, manifestText(change{
		"permissions": `{"subsonicAPI": {"reason": "r", "ALLOWEDUSERNAMES": ["bob"], "AllowAdmins": true}, "Cache": {"reason": "k"}}`,
	})).Permissions
	want := Permissions{
		Cache:       &Permission{Reason: "k"},
		SubsonicAPI: &SubsonicAPIPermission{Reason: "r", AllowedUsernames: []string{"bob"}, AllowAdmins: true},
	}
	if !reflect.DeepEqual(permissions, want) {
		t.Errorf("permissions\n  %s\nwant\n  %s", asJSON(t, permissions), asJSON(t, want))
	}
}

func TestIgnoredKeysHaveNoEffect(t *testing.T) {
	manifest := mustParse(t, manifestText(change{
		"zermissions": `{"cache": {"reason": "k"}}`,
		"permissions": `{"config": {"reason": "mine", "why": "other"}}`,
	}))
	want := Permissions{Config: &Permission{Reason: "mine"}}
	if manifest.Name != "Covers" || !reflect.DeepEqual(manifest.Permissions, want) {
		t.Errorf("name %q, permissions %s; want Covers and only config, reason mine", manifest.Name, asJSON(t, manifest.Permissions))
	}
}

func TestNullUserDoesNotOpenTheSubsonicAPIToEveryUser(t *testing.T) {
	permissions := mustParse(t, manifestText(change{"permissions": `{"subsonicapi": {"reason": "r", "allowedUsernames": [null]}}`})).Permissions
	if users := permissions.SubsonicAPI.AllowedUsernames; len(users) == 0 {
		t.Error("the list of users is empty, which would be every user")
	}
}

func TestHas(t *testing.T) {
	manifest := mustParse(t, manifestText(change{"capabilities": `["Scrobbler", "LifecycleManagement"]`}))
	for capability, want := range map[string]bool{
		Scrobbler: true, LifecycleManagement: true, MetadataAgent: false, SchedulerCallback: false, WebSocketCallback: false, "": false, "scrobbler": false,
	} {
		if got := manifest.Has(capability); got != want {
			t.Errorf("Has(%q) is %v, want %v", capability, got, want)
		}
	}
}

func TestGrantedKeepsItsOrder(t *testing.T) {
	tests := []struct {
		name, permissions string
		want              []string
	}{
		{"none", `{}`, nil},
		{"null permissions", `null`, nil},
		{"unknown ones", `{"lyrics": {}}`, nil},
		{"nulls", `{"cache": null, "config": {"reason": "r"}}`, []string{"config"}},
		{"all",
			`{"subsonicapi": {"reason": "r"}, "artwork": {"reason": "r"}, "cache": {"reason": "r"}, "websocket": {"reason": "r", "allowedUrls": ["wss://a"]}, "scheduler": {"reason": "r"}, "config": {"reason": "r"}, "http": {"reason": "r", "allowedUrls": {"*": ["*"]}}}`,
			[]string{"http", "config", "scheduler", "websocket", "cache", "artwork", "subsonicapi"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			permissions := mustParse(t, manifestText(change{"permissions": test.permissions})).Permissions
			if got := permissions.Granted(); !slices.Equal(got, test.want) {
				t.Errorf("granted %q, want %q", got, test.want)
			}
		})
	}
}

func TestParseManifestFromManyGoroutines(t *testing.T) {
	text := []byte(manifestText(change{"name": "", "version": `"x"`, "capabilities": `["x", "x"]`}))
	_, _, want := ParseManifest(text)
	var parsers sync.WaitGroup
	for range 8 {
		parsers.Go(func() {
			for range 20 {
				if _, _, err := ParseManifest(text); err.Error() != want.Error() {
					t.Errorf("error %v, want %v", err, want)
				}
			}
		})
	}
	parsers.Wait()
}

func TestManifestThatUsesEverythingHasNoProblems(t *testing.T) {
	text, err := os.ReadFile("testdata/full.json")
	if err != nil {
		t.Fatal(err)
	}
	manifest, warnings, err := ParseManifest(text)
	if err != nil || len(warnings) != 0 {
		t.Fatalf("error %v, warnings %v; want none", err, warnings)
	}
	if got := manifest.Permissions.Granted(); len(got) != 7 {
		t.Errorf("granted %q, want all seven", got)
	}
}
