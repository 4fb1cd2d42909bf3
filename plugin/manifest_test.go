package plugin

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// change replaces members of a valid manifest by raw JSON; an empty text removes the member.
type change map[string]string

// manifestText returns a valid manifest, changed.
func manifestText(changes change) string {
	members := change{
		"name":         `"Covers"`,
		"author":       `"Someone"`,
		"version":      `"1.2.3"`,
		"description":  `"Finds covers"`,
		"website":      `"https://example.com"`,
		"capabilities": `["MetadataAgent"]`,
		"permissions":  `{}`,
	}
	maps.Copy(members, changes)
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(members)) {
		if members[key] != "" {
			lines = append(lines, fmt.Sprintf("  %q: %s", key, members[key]))
		}
	}
	return "{\n" + strings.Join(lines, ",\n") + "\n}\n"
}

func texts(problems []Problem) []string {
	var list []string
	for _, problem := range problems {
		list = append(list, problem.String())
	}
	return list
}

// faultsOf returns the faults in err, which must be nil or a ManifestError.
func faultsOf(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var manifestError *ManifestError
	if !errors.As(err, &manifestError) {
		t.Fatalf("the error is a %T, not a *ManifestError: %v", err, err)
	}
	return texts(manifestError.Faults)
}

func mustParse(t *testing.T, text string) *Manifest {
	t.Helper()
	manifest, _, err := ParseManifest([]byte(text))
	if err != nil {
		t.Fatalf("the manifest is refused: %v\n%s", err, text)
	}
	return manifest
}

const (
	allCapabilities = `allowed: "MetadataAgent", "Scrobbler", "SchedulerCallback", "LifecycleManagement", "WebSocketCallback"`
	allMethods      = `allowed: "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "*"`
)

func TestManifestFaultsAndWarnings(t *testing.T) {
	tests := []struct {
		name     string
		change   change
		faults   []string
		warnings []string
	}{
		{name: "a plain manifest has no problems"},

		// Top level.
		{name: "name is required", change: change{"name": ""}, faults: []string{"name: is missing"}},
		{name: "author is required", change: change{"author": ""}, faults: []string{"author: is missing"}},
		{name: "version is required", change: change{"version": ""}, faults: []string{"version: is missing"}},
		{name: "description is required", change: change{"description": ""}, faults: []string{"description: is missing"}},
		{name: "website is required", change: change{"website": ""}, faults: []string{"website: is missing"}},
		{name: "capabilities is required", change: change{"capabilities": ""}, faults: []string{"capabilities: is missing"}},
		{name: "permissions is required", change: change{"permissions": ""}, faults: []string{"permissions: is missing"}},
		{name: "a required key in another case is missing", change: change{"name": "", "Name": `"Covers"`},
			faults: []string{`name: is missing ("Name" must be written "name")`}},
		{name: "every missing key is reported", change: change{"name": "", "author": "", "website": ""},
			faults: []string{"author: is missing", "name: is missing", "website: is missing"}},
		{name: "null texts pass", change: change{"name": "null", "author": "null", "version": "null", "description": "null", "website": "null"}},
		{name: "empty name, author and description pass", change: change{"name": `""`, "author": `""`, "description": `""`}},
		{name: "null permissions pass", change: change{"permissions": "null"}},
		{name: "a name that is a number", change: change{"name": "7"}, faults: []string{"name: must be a string, not a number"}},
		{name: "a version that is a number", change: change{"version": "1.5"}, faults: []string{"version: must be a string, not a number"}},
		{name: "a description that is an array", change: change{"description": `["x"]`}, faults: []string{"description: must be a string, not an array"}},
		{name: "a website that is a boolean", change: change{"website": "true"}, faults: []string{"website: must be a string, not a boolean"}},
		{name: "permissions that are an array", change: change{"permissions": "[]"}, faults: []string{"permissions: must be an object, not an array"}},
		{name: "unknown keys pass silently", change: change{"$schema": `"x"`, "extra": `{"a":[1]}`}},
		{name: "a version that is not semver", change: change{"version": `"v1.0"`},
			warnings: []string{`version: "v1.0" is not a semantic version such as 1.2.3`}},
		{name: "an empty version", change: change{"version": `""`},
			warnings: []string{`version: "" is not a semantic version such as 1.2.3`}},
		{name: "a version with leading zero", change: change{"version": `"01.0.0"`},
			warnings: []string{`version: "01.0.0" is not a semantic version such as 1.2.3`}},
		{name: "a pre-release version with build", change: change{"version": `"1.0.0-rc.1+build.5"`}},
		{name: "a website that is not a URI", change: change{"website": `"example.com"`},
			warnings: []string{`website: "example.com" is not an absolute URI such as https://example.com`}},

		// Capabilities.
		{name: "every capability is known",
			change: change{"capabilities": `["MetadataAgent", "Scrobbler", "SchedulerCallback", "LifecycleManagement", "WebSocketCallback"]`}},
		{name: "empty capabilities", change: change{"capabilities": "[]"}, faults: []string{"capabilities: must have at least one item"}},
		{name: "null capabilities", change: change{"capabilities": "null"}, faults: []string{"capabilities: must be an array, not null"}},
		{name: "capabilities that are a string", change: change{"capabilities": `"Scrobbler"`}, faults: []string{"capabilities: must be an array, not a string"}},
		{name: "a null capability", change: change{"capabilities": `[null]`}, faults: []string{"capabilities[0]: must be a string, not null"}},
		{name: "a misspelt capability", change: change{"capabilities": `["MetadataAgent", "Scrobler"]`},
			faults: []string{`capabilities[1]: "Scrobler" is not known, did you mean "Scrobbler"? ` + allCapabilities}},
		{name: "a capability in another case", change: change{"capabilities": `["metadataagent"]`},
			faults: []string{`capabilities[0]: "metadataagent" is not known, did you mean "MetadataAgent"? ` + allCapabilities}},
		{name: "a capability like no other", change: change{"capabilities": `["Lyrics"]`},
			faults: []string{`capabilities[0]: "Lyrics" is not known, ` + allCapabilities}},
		{name: "a repeated capability", change: change{"capabilities": `["Scrobbler", "Scrobbler"]`},
			warnings: []string{"capabilities[1]: is listed already"}},

		// Every permission.
		{name: "an unknown permission of any shape passes", change: change{"permissions": `{"lyrics": 7, "library": {"reason": ""}}`}},
		{name: "a permission that is null is not granted", change: change{"permissions": `{"http": null, "cache": null}`}},
		{name: "a permission that is not an object", change: change{"permissions": `{"cache": true}`},
			faults: []string{"permissions.cache: must be an object, not a boolean"}},
		{name: "no permission goes without a reason",
			change: change{"permissions": `{"http": {"allowedUrls": {"*": ["*"]}}, "config": {}, "scheduler": {}, "websocket": {"allowedUrls": ["wss://*"]}, "cache": {}, "artwork": {}, "subsonicapi": {}}`},
			faults: []string{
				"permissions.artwork.reason: is missing",
				"permissions.cache.reason: is missing",
				"permissions.config.reason: is missing",
				"permissions.http.reason: is missing",
				"permissions.scheduler.reason: is missing",
				"permissions.subsonicapi.reason: is missing",
				"permissions.websocket.reason: is missing",
			}},
		{name: "an empty reason", change: change{"permissions": `{"config": {"reason": ""}}`},
			faults: []string{"permissions.config.reason: must not be empty"}},
		{name: "a null reason", change: change{"permissions": `{"config": {"reason": null}}`},
			faults: []string{"permissions.config.reason: must be a string, not null"}},
		{name: "a reason in another case", change: change{"permissions": `{"config": {"Reason": "r"}}`},
			faults:   []string{`permissions.config.reason: is missing ("Reason" must be written "reason")`},
			warnings: []string{"permissions.config.Reason: is not known and ignored, allowed: reason"}},
		{name: "an extra key in a permission",
			change:   change{"permissions": `{"subsonicapi": {"reason": "r", "rate": 7}}`},
			warnings: []string{"permissions.subsonicapi.rate: is not known and ignored, allowed: allowAdmins, allowedUsernames, reason"}},
		{name: "a permission in another case", change: change{"permissions": `{"HTTP": {"reason": "r", "allowedUrls": {"*": ["*"]}}}`},
			warnings: []string{`permissions.HTTP: should be written "http"`}},
		{name: "a permission in two spellings", change: change{"permissions": `{"subsonicapi": {"reason": "r"}, "subsonicAPI": {"reason": "r"}}`},
			faults: []string{`permissions.subsonicapi: is there twice, also as "subsonicAPI": keep one`}},
		{name: "a permission in two wrong spellings", change: change{"permissions": `{"HTTP": null, "Http": null}`},
			faults:   []string{`permissions.http: is there twice, also as "Http": keep one`},
			warnings: []string{`permissions.HTTP: should be written "http"`}},

		// Keys that are there twice: which of the two counts is up to who reads them.
		{name: "the permissions twice", change: change{"permissions": `{}, "permissions": {"config": {"reason": "r"}}`},
			faults: []string{"permissions: is there twice: keep one"}},
		{name: "a required key in two spellings", change: change{"permissions": `{}, "Permissions": {"config": {"reason": "r"}}`},
			faults: []string{`permissions: is there twice, also as "Permissions": keep one`}},
		{name: "a required key in two spellings, the wrong one first", change: change{"permissions": `{}, "Version": "1"`},
			faults: []string{`version: is there twice, also as "Version": keep one`}},
		{name: "a key in two spellings that are one under Unicode case folding", change: change{"permissions": `{}, "permi\u017f\u017fions": null`},
			faults: []string{`permissions: is there twice, also as "permiſſions": keep one`}},
		{name: "a key written with an escape", change: change{"permissions": `{}, "\u0070ermissions": {"config": {"reason": "r"}}`},
			faults: []string{"permissions: is there twice: keep one"}},
		{name: "a permission twice", change: change{"permissions": `{"config": {"reason": "r"}, "config": null}`},
			faults: []string{"permissions.config: is there twice: keep one"}},
		{name: "a setting of a permission twice",
			change: change{"permissions": `{"subsonicapi": {"reason": "r", "allowedUsernames": ["bob"], "allowedUsernames": []}}`},
			faults: []string{"permissions.subsonicapi.allowedUsernames: is there twice: keep one"}},
		{name: "a setting twice, in a permission in another case",
			change:   change{"permissions": `{"HTTP": {"reason": "r", "allowedUrls": {"*": ["GET"]}, "allowLocalNetwork": false, "allowLocalNetwork": true}}`},
			faults:   []string{"permissions.http.allowLocalNetwork: is there twice: keep one"},
			warnings: []string{`permissions.HTTP: should be written "http"`}},
		{name: "a URL pattern twice",
			change: change{"permissions": `{"http": {"reason": "r", "allowedUrls": {"https://a.test/*": ["GET"], "https://a.test/*": ["*"]}}}`},
			faults: []string{`permissions.http.allowedUrls["https://a.test/*"]: is there twice: keep one`}},
		{name: "two URL patterns that differ in case",
			change: change{"permissions": `{"http": {"reason": "r", "allowedUrls": {"https://a.test/b": ["GET"], "https://a.test/B": ["GET"]}}}`}},
		{name: "an unknown key twice", change: change{"later": `1, "later": 2`},
			warnings: []string{"later: is there twice, and the last one counts: keep one"}},
		{name: "an unknown permission twice", change: change{"permissions": `{"later": {"a": 1, "a": 2}, "later": {}}`},
			warnings: []string{
				"permissions.later: is there twice, and the last one counts: keep one",
				"permissions.later.a: is there twice, and the last one counts: keep one",
			}},
		{name: "an unknown key in two spellings", change: change{"later": `1, "Later": 2`}},
		{name: "a key twice, deep in what is not known", change: change{"later": strings.Repeat(`[{"a": `, 20) + `{"b": 1, "b": 2}` + strings.Repeat(`}]`, 20)},
			warnings: []string{"later" + strings.Repeat("[0].a", 7) + "[0]: is there twice, and the last one counts: keep one"}},

		// HTTP.
		{name: "http without URLs", change: change{"permissions": `{"http": {"reason": "r"}}`},
			faults: []string{"permissions.http.allowedUrls: is missing"}},
		{name: "http with null URLs", change: change{"permissions": `{"http": {"reason": "r", "allowedUrls": null}}`},
			faults: []string{"permissions.http.allowedUrls: must be an object, not null"}},
		{name: "http with no URL", change: change{"permissions": `{"http": {"reason": "r", "allowedUrls": {}}}`},
			faults: []string{`permissions.http.allowedUrls: must have at least one URL pattern, such as "https://api.example.com/*": ["GET"]`}},
		{name: "http with a list of URLs", change: change{"permissions": `{"http": {"reason": "r", "allowedUrls": ["*"]}}`},
			faults: []string{"permissions.http.allowedUrls: must be an object, not an array"}},
		{name: "http URLs in another case", change: change{"permissions": `{"http": {"reason": "r", "AllowedURLs": {"*": ["*"]}}}`},
			faults:   []string{`permissions.http.allowedUrls: is missing ("AllowedURLs" must be written "allowedUrls")`},
			warnings: []string{"permissions.http.AllowedURLs: is not known and ignored, allowed: allowLocalNetwork, allowedUrls, reason"}},
		{name: "every method is known",
			change: change{"permissions": `{"http": {"reason": "r", "allowedUrls": {"*": ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "*"]}}}`}},
		{name: "a lower-case method", change: change{"permissions": `{"http": {"reason": "r", "allowedUrls": {"https://a.com/*": ["get"]}}}`},
			faults: []string{`permissions.http.allowedUrls["https://a.com/*"][0]: "get" is not known, did you mean "GET"? ` + allMethods}},
		{name: "a method that does not exist", change: change{"permissions": `{"http": {"reason": "r", "allowedUrls": {"*": ["GET", "CONNECT"]}}}`},
			faults: []string{`permissions.http.allowedUrls["*"][1]: "CONNECT" is not known, ` + allMethods}},
		{name: "URL patterns that are odd keys",
			change: change{"permissions": `{"http": {"reason": "r", "allowedUrls": {"0123": 1, "-1": 1, "": 1, "a.b": 1, "x\ty": 1, "` + strings.Repeat("9", 90) + `": 1}}}`},
			faults: []string{
				`permissions.http.allowedUrls[""]: must be an array, not a number`,
				`permissions.http.allowedUrls["-1"]: must be an array, not a number`,
				`permissions.http.allowedUrls["0123"]: must be an array, not a number`,
				`permissions.http.allowedUrls["` + strings.Repeat("9", 80) + `"…]: must be an array, not a number`,
				`permissions.http.allowedUrls["a.b"]: must be an array, not a number`,
				`permissions.http.allowedUrls["x\ty"]: must be an array, not a number`,
			}},
		{name: "a null method", change: change{"permissions": `{"http": {"reason": "r", "allowedUrls": {"*": [null]}}}`},
			faults: []string{`permissions.http.allowedUrls["*"][0]: must be a string, not null`}},
		{name: "methods that are a string", change: change{"permissions": `{"http": {"reason": "r", "allowedUrls": {"*": "GET"}}}`},
			faults: []string{`permissions.http.allowedUrls["*"]: must be an array, not a string`}},
		{name: "no method", change: change{"permissions": `{"http": {"reason": "r", "allowedUrls": {"*": []}}}`},
			warnings: []string{`permissions.http.allowedUrls["*"]: allows no method here, list some or "*"`}},
		{name: "null methods", change: change{"permissions": `{"http": {"reason": "r", "allowedUrls": {"*": null}}}`},
			warnings: []string{`permissions.http.allowedUrls["*"]: allows no method here, list some or "*"`}},
		{name: "a repeated method", change: change{"permissions": `{"http": {"reason": "r", "allowedUrls": {"*": ["GET", "PUT", "GET"]}}}`},
			warnings: []string{`permissions.http.allowedUrls["*"][2]: is listed already`}},
		{name: "a null allowLocalNetwork", change: change{"permissions": `{"http": {"reason": "r", "allowedUrls": {"*": ["*"]}, "allowLocalNetwork": null}}`}},
		{name: "an allowLocalNetwork that is a string",
			change: change{"permissions": `{"http": {"reason": "r", "allowedUrls": {"*": ["*"]}, "allowLocalNetwork": "yes"}}`},
			faults: []string{"permissions.http.allowLocalNetwork: must be a boolean, not a string"}},

		// WebSocket.
		{name: "websocket with ws and wss", change: change{"permissions": `{"websocket": {"reason": "r", "allowedUrls": ["ws://a.com", "wss://b.com/*", "WSS://c.com"]}}`}},
		{name: "websocket without URLs", change: change{"permissions": `{"websocket": {"reason": "r"}}`},
			faults: []string{"permissions.websocket.allowedUrls: is missing"}},
		{name: "websocket with null URLs", change: change{"permissions": `{"websocket": {"reason": "r", "allowedUrls": null}}`},
			faults: []string{"permissions.websocket.allowedUrls: must be an array, not null"}},
		{name: "websocket with no URL", change: change{"permissions": `{"websocket": {"reason": "r", "allowedUrls": []}}`},
			faults: []string{"permissions.websocket.allowedUrls: must have at least one item"}},
		{name: "websocket with URLs that are no websockets",
			change: change{"permissions": `{"websocket": {"reason": "r", "allowedUrls": ["*", "http://x", "", "wss://ok", "xwss://x"]}}`},
			faults: []string{
				`permissions.websocket.allowedUrls[0]: "*" must begin with ws:// or wss://`,
				`permissions.websocket.allowedUrls[1]: "http://x" must begin with ws:// or wss://`,
				`permissions.websocket.allowedUrls[2]: "" must begin with ws:// or wss://`,
				`permissions.websocket.allowedUrls[4]: "xwss://x" must begin with ws:// or wss://`,
			}},
		{name: "websocket with a null URL", change: change{"permissions": `{"websocket": {"reason": "r", "allowedUrls": [null]}}`},
			faults: []string{"permissions.websocket.allowedUrls[0]: must be a string, not null"}},
		{name: "websocket with a map of URLs", change: change{"permissions": `{"websocket": {"reason": "r", "allowedUrls": {"wss://a": ["*"]}}}`},
			faults: []string{"permissions.websocket.allowedUrls: must be an array, not an object"}},
		{name: "websocket with a repeated URL", change: change{"permissions": `{"websocket": {"reason": "r", "allowedUrls": ["wss://a", "wss://a"]}}`},
			warnings: []string{"permissions.websocket.allowedUrls[1]: is listed already"}},

		// Subsonic API.
		{name: "subsonicapi with nulls", change: change{"permissions": `{"subsonicapi": {"reason": "r", "allowedUsernames": null, "allowAdmins": null}}`}},
		{name: "subsonicapi with a user that is a string", change: change{"permissions": `{"subsonicapi": {"reason": "r", "allowedUsernames": "bob"}}`},
			faults: []string{"permissions.subsonicapi.allowedUsernames: must be an array, not a string"}},
		{name: "subsonicapi with a user that is a number", change: change{"permissions": `{"subsonicapi": {"reason": "r", "allowedUsernames": [7]}}`},
			faults: []string{"permissions.subsonicapi.allowedUsernames[0]: must be a string, not a number"}},
		{name: "an optional setting in another case", change: change{"permissions": `{"subsonicapi": {"reason": "r", "AllowedUserNames": ["bob"]}}`},
			warnings: []string{`permissions.subsonicapi.AllowedUserNames: should be written "allowedUsernames"`}},
		{name: "an optional setting in two spellings",
			change: change{"permissions": `{"subsonicapi": {"reason": "r", "allowAdmins": false, "ALLOWADMINS": true}}`},
			faults: []string{`permissions.subsonicapi.allowAdmins: is there twice, also as "ALLOWADMINS": keep one`},
			warnings: []string{
				"permissions.subsonicapi.ALLOWADMINS: is not known and ignored, allowed: allowAdmins, allowedUsernames, reason",
			}},

		// All at once.
		{name: "faults and warnings come together",
			change:   change{"name": "7", "version": `"x"`, "capabilities": `["Nothing"]`, "permissions": `{"http": {}}`},
			warnings: []string{`version: "x" is not a semantic version such as 1.2.3`},
			faults: []string{
				`capabilities[0]: "Nothing" is not known, ` + allCapabilities,
				"name: must be a string, not a number",
				"permissions.http.allowedUrls: is missing",
				"permissions.http.reason: is missing",
			}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			manifest, warnings, err := ParseManifest([]byte(manifestText(test.change)))
			if got := faultsOf(t, err); !slices.Equal(got, test.faults) {
				t.Errorf("faults\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(test.faults, "\n  "))
			}
			if got := texts(warnings); !slices.Equal(got, test.warnings) {
				t.Errorf("warnings\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(test.warnings, "\n  "))
			}
			if (manifest == nil) != (err != nil) {
				t.Errorf("manifest is %v with error %v, want exactly one of them", manifest, err)
			}
		})
	}
}

func TestDocumentsThatAreNoManifest(t *testing.T) {
	valid := manifestText(nil)
	tests := []struct {
		name, text, fault string
	}{
		{"nothing", "", "is empty: a JSON object is needed"},
		{"white space", " \n\t", "is empty: a JSON object is needed"},
		{"null", "null", "must be an object, not null"},
		{"an array", "[]", "must be an object, not an array"},
		{"a string", `"x"`, "must be an object, not a string"},
		{"a number", "7", "must be an object, not a number"},
		{"cut short", valid[:40], "ends too early: a closing bracket or quote is missing"},
		{"not JSON", "{\n  name: 1\n}", "is not JSON: line 2: invalid character 'n' looking for beginning of object key string"},
		{"a trailing comma", "{\n  \"name\": \"x\",\n}", "is not JSON: line 3: invalid character '}' looking for beginning of object key string"},
		{"a byte order mark", "\xef\xbb\xbf" + valid, "begins with a UTF-8 byte order mark: save the file as UTF-8 without BOM"},
		{"a second document", valid + valid, "line 10: there is something after the end of the document: remove it"},
		{"a stray bracket at the end", valid + "}", "line 10: there is something after the end of the document: remove it"},
		{"too many bytes", valid + strings.Repeat(" ", MaxManifestSize), "has more than 1048576 bytes"},
		{"too many values", manifestText(change{"x": "[" + strings.Repeat("0,", 10_000) + "0]"}), "has more than 10000 values"},
		{"too many values under one key", manifestText(change{"x": "0" + strings.Repeat(`, "x": 0`, 10_000)}), "has more than 10000 values"},
		{"a huge key", manifestText(change{strings.Repeat("k", 2049): "0"}), `key "` + strings.Repeat("k", 80) + `"… has more than 2048 bytes`},
		{"endless depth", strings.Repeat("[", 500_000), "is not JSON: line 1: invalid character '[' exceeded max depth"},
		{"endless depth in an object", manifestText(change{"x": strings.Repeat(`{"a":`, 100_000)}), "is not JSON: line 9: invalid character '{' exceeded max depth"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := ParseManifest([]byte(test.text))
			if got := faultsOf(t, err); !slices.Equal(got, []string{test.fault}) {
				t.Errorf("faults %q, want %q", got, test.fault)
			}
		})
	}
}

func TestManifestAtItsBoundsIsRead(t *testing.T) {
	tests := []struct {
		name, text string
	}{
		{"the largest size", manifestText(nil) + strings.Repeat(" ", MaxManifestSize-len(manifestText(nil)))},
		{"deep nesting in an unknown key", manifestText(change{"x": strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000)})},
		{"the longest key", manifestText(change{strings.Repeat("k", 2048): "0"})},
		{"numbers too large to compute", manifestText(change{"x": "[" + strings.Repeat("1e999999,", 9_000) + "1e-999999999999]"})},
		{"repeated keys that nobody knows", strings.Replace(manifestText(nil), "{", `{"x": "first", "x": "second",`, 1)},
		{"no line breaks", strings.ReplaceAll(manifestText(nil), "\n", "")},
		{"carriage returns", strings.ReplaceAll(manifestText(nil), "\n", "\r\n")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if name := mustParse(t, test.text).Name; name != "Covers" {
				t.Errorf("name is %q, want Covers", name)
			}
		})
	}
}

func TestNumbersOfAnySizeAreRefusedInPermissions(t *testing.T) {
	numbers := strings.Repeat("1e999999,", 9_000) + "0"
	_, _, err := ParseManifest([]byte(manifestText(change{
		"permissions": `{"websocket": {"reason": "r", "allowedUrls": [` + numbers + `]}}`,
	})))
	faults := faultsOf(t, err)
	if want := "permissions.websocket.allowedUrls[0]: must be a string, not a number"; faults[0] != want {
		t.Errorf("first fault %q, want %q", faults[0], want)
	}
}

func TestFloodOfFaultsIsCounted(t *testing.T) {
	_, _, err := ParseManifest([]byte(manifestText(change{"capabilities": "[" + strings.Repeat(`"x\n",`, 4_999) + `"x\n"]`})))
	faults := faultsOf(t, err)
	if len(faults) != 101 || faults[100] != "and 4900 more like these" {
		t.Errorf("%d faults, the last %q; want 100 and a count of 4900 more", len(faults), faults[len(faults)-1])
	}
}

func TestMessagesEscapeAndCutForeignText(t *testing.T) {
	_, _, err := ParseManifest([]byte(manifestText(change{"capabilities": `["a\n\u001b[31m", "` + strings.Repeat("é", 500) + `"]`})))
	want := []string{
		`capabilities[0]: "a\n\x1b[31m" is not known, ` + allCapabilities,
		`capabilities[1]: "` + strings.Repeat("é", 40) + `"… is not known, ` + allCapabilities,
	}
	if got := faultsOf(t, err); !slices.Equal(got, want) {
		t.Errorf("faults\n  %q\nwant\n  %q", got, want)
	}
}

func TestManifestErrorListsEveryFault(t *testing.T) {
	_, _, err := ParseManifest([]byte(manifestText(change{"name": "", "capabilities": "[]"})))
	if want := "invalid manifest: capabilities: must have at least one item; name: is missing"; fmt.Sprint(err) != want {
		t.Errorf("error %q, want %q", err, want)
	}
}
