package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"regexp"
	"slices"
	"testing"
)

// FuzzParseManifest feeds any bytes and checks that what is accepted keeps the promises of the types.
func FuzzParseManifest(f *testing.F) {
	full, err := os.ReadFile("testdata/full.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(full)
	for _, text := range []string{
		"", "null", "{", "[]", "\xef\xbb\xbf{}", manifestText(nil) + "x",
		manifestText(change{"permissions": `{"HTTP": {"reason": "r", "allowedUrls": {"*": null}}}`}),
		manifestText(change{"permissions": `{"subsonicAPI": {"reason": "r"}, "subsonicapi": {"reason": 1e999999}}`}),
		manifestText(change{"permissions": `{"webSocket": {"reason": "r", "allowedUrls": ["*", "ws://a", "ws://a", null]}}`}),
		manifestText(change{"capabilities": `["Scrobler", null, 7, "Scrobbler", "Scrobbler"]`, "version": `"v"`, "website": `":"`}),
	} {
		f.Add([]byte(text))
	}
	capabilities := []string{MetadataAgent, Scrobbler, SchedulerCallback, LifecycleManagement, WebSocketCallback}
	methods := []string{"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "*"}
	webSocket := regexp.MustCompile(`^(?i)wss?://`)

	f.Fuzz(func(t *testing.T, data []byte) {
		manifest, warnings, err := ParseManifest(data)
		if len(warnings) > maxProblems+1 {
			t.Errorf("%d warnings", len(warnings))
		}
		again, warningsAgain, errAgain := ParseManifest(data)
		if !reflect.DeepEqual(manifest, again) || !reflect.DeepEqual(warnings, warningsAgain) || !reflect.DeepEqual(err, errAgain) {
			t.Errorf("parsed twice: %v, %v, %v and then %v, %v, %v", manifest, warnings, err, again, warningsAgain, errAgain)
		}
		if err != nil {
			var manifestError *ManifestError
			if !errors.As(err, &manifestError) || len(manifestError.Faults) == 0 || len(manifestError.Faults) > maxProblems+1 || manifest != nil {
				t.Errorf("refused with %#v and manifest %v", err, manifest)
			}
			return
		}
		if len(manifest.Capabilities) == 0 {
			t.Error("no capability")
		}
		for _, capability := range manifest.Capabilities {
			if !slices.Contains(capabilities, capability) {
				t.Errorf("capability %q", capability)
			}
		}
		permissions := manifest.Permissions
		for _, permission := range []*Permission{permissions.Config, permissions.Scheduler, permissions.Cache, permissions.Artwork} {
			if permission != nil && permission.Reason == "" {
				t.Error("a permission without a reason")
			}
		}
		if http := permissions.HTTP; http != nil {
			if http.Reason == "" || len(http.AllowedURLs) == 0 {
				t.Errorf("http permission %+v", http)
			}
			for pattern, allowed := range http.AllowedURLs {
				for _, method := range allowed {
					if !slices.Contains(methods, method) {
						t.Errorf("method %q for %q", method, pattern)
					}
				}
			}
		}
		if socket := permissions.WebSocket; socket != nil {
			if socket.Reason == "" || len(socket.AllowedURLs) == 0 {
				t.Errorf("websocket permission %+v", socket)
			}
			for _, pattern := range socket.AllowedURLs {
				if !webSocket.MatchString(pattern) {
					t.Errorf("websocket pattern %q", pattern)
				}
			}
		}
		if subsonic := permissions.SubsonicAPI; subsonic != nil && subsonic.Reason == "" {
			t.Error("subsonicapi permission without a reason")
		}
	})
}

// FuzzRepeatedKeys feeds any bytes and checks that nothing in a manifest that is accepted depends on which of two keys is
// taken: readers that take the first, or match keys in any case, see the same manifest.
func FuzzRepeatedKeys(f *testing.F) {
	full, err := os.ReadFile("testdata/full.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(full)
	for _, text := range []string{
		manifestText(change{"permissions": `{}, "permissions": {"config": {"reason": "r"}}`}),
		manifestText(change{"permissions": `{}, "Permissions": {"config": {"reason": "r"}}`}),
		manifestText(change{"permissions": `{"http": {"reason": "r", "allowedUrls": {"*": ["GET"], "*": ["*"]}}}`}),
		manifestText(change{"permissions": `{"cache": {"reason": "r", "later": 1, "later": {"a": [], "a": {}}}, "later": 1, "later": 2}`}),
		manifestText(change{"later": `[{"a": 1, "a": {"a": [[]]}}], "later": {}`}),
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		manifest, _, err := ParseManifest(data)
		if err != nil {
			return
		}
		decoder := json.NewDecoder(bytes.NewReader(data))
		first, err := json.Marshal(takeFirst(t, decoder))
		if err != nil {
			t.Fatal(err)
		}
		if len(first) > MaxManifestSize { // escapes are longer
			return
		}
		again, _, err := ParseManifest(first)
		if err != nil || !reflect.DeepEqual(manifest, again) {
			t.Errorf("the first of each key makes another manifest of %s: %s, error %v", data, asJSON(t, again), err)
		}
		var anyCase struct{ Name, Author, Version, Description, Website string }
		if err := json.Unmarshal(data, &anyCase); err == nil && anyCase.Name != manifest.Name {
			t.Errorf("a reader that ignores case finds the name %q in %s, want %q", anyCase.Name, data, manifest.Name)
		}
	})
}

// takeFirst reads a valid document as one who takes the first of two keys.
func takeFirst(t *testing.T, decoder *json.Decoder) any {
	t.Helper()
	decoder.UseNumber()
	token, err := decoder.Token()
	if err != nil {
		t.Fatal(err)
	}
	switch token {
	case json.Delim('{'):
		object := map[string]any{}
		for decoder.More() {
			key, err := decoder.Token()
			if err != nil {
				t.Fatal(err)
			}
			value := takeFirst(t, decoder)
			if name, _ := key.(string); !contains(object, name) {
				object[name] = value
			}
		}
		_, _ = decoder.Token()
		return object
	case json.Delim('['):
		array := []any{}
		for decoder.More() {
			array = append(array, takeFirst(t, decoder))
		}
		_, _ = decoder.Token()
		return array
	default:
		return token
	}
}

func contains(object map[string]any, key string) bool {
	_, is := object[key]
	return is
}
