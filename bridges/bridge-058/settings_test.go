package main_test

import (
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/plugintest"
	"github.com/pluginhost/pluginhost/sdk/api"
)

func TestEveryFaultOfTheSettingsIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		settings map[string]string
		want     []string
		not      string
	}{
		{"nothing is set", nil, []string{"[PluginConfig.<folder name>]", "token is missing", "pluginhost token create --scope call"}, "url"},
		{"all at once", map[string]string{"url": "127.0.0.1:8080", "token": "x", "plugin": strings.Repeat("p", 256), "timeout": "soon", "tokn": "y", "agents": "z"}, []string{
			`url is "127.0.0.1:8080", which does not begin with http:// or https://`, `such as url = "http://127.0.0.1:8080"`, "token is not ph_ and 52",
			"plugin has 256 bytes, and an id at most 255", `timeout is "soon"`, `such as timeout = "8s"`, `no setting "agents", "tokn": there are url, token, plugin and timeout`,
		}, ""},
		{"an address without a host", map[string]string{"url": "http://:8080"}, []string{`url is "http://:8080"`}, ""},
		{"an address of another kind", map[string]string{"url": "nats://127.0.0.1:4222"}, []string{"http:// or https://"}, ""},
		{"an address that does not parse", map[string]string{"url": "http://[::1"}, []string{"http:// or https://"}, ""},
		{"an address with a query", map[string]string{"url": "http://a.example/?x=1"}, []string{"a ? or #"}, ""},
		{"an address with an empty fragment", map[string]string{"url": "http://a.example/#"}, []string{"a ? or #"}, ""},
		{"an address with a password", map[string]string{"url": "http://joe:sesame@a.example"}, []string{"an @", "token"}, "sesame"},
		{"an address that is too long", map[string]string{"url": "http://a.example/" + strings.Repeat("x", 2048)}, []string{"more than 2048 bytes"}, "xxxxxx"},
		{"an address of several lines", map[string]string{"url": "http://a.example/\nx"}, []string{`\n`}, "\n"},
		{"a token of capitals", map[string]string{"token": strings.ToUpper(token)}, []string{"token is not ph_ and 52"}, "A2B7"},
		{"a token that is cut", map[string]string{"token": token[:54]}, []string{"token is not ph_ and 52"}, "a2b7"},
		{"a token with Bearer before it", map[string]string{"token": "Bearer " + token}, []string{"token is not ph_ and 52"}, "a2b7"},
		{"a path for a plugin", map[string]string{"plugin": ".."}, []string{`plugin is ".."`}, ""},
		{"a plugin of several lines", map[string]string{"plugin": "a\nb"}, []string{`plugin is "a\nb"`}, "\n"},
		{"no time", map[string]string{"timeout": "0"}, []string{"from 100ms to 1m0s"}, ""},
		{"a time before", map[string]string{"timeout": "-8s"}, []string{"from 100ms to 1m0s"}, ""},
		{"too much time", map[string]string{"timeout": "61"}, []string{"from 100ms to 1m0s"}, ""},
		{"a time without end", map[string]string{"timeout": strings.Repeat("9", 5000)}, []string{"from 100ms to 1m0s"}, strings.Repeat("9", 200)},
		{"many others", map[string]string{"a": "", "b": "", "c": "", "d": "", "e": "", "f": ""}, []string{`"e" and others`}, `"f"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			host := plugintest.Load(t, ".")
			if test.settings != nil && test.settings["token"] == "" {
				host.SetConfig("token", token)
			}
			for key, value := range test.settings {
				host.SetConfig(key, value)
			}
			initialised := host.Init(t.Context())
			_, asked := host.MetadataAgent().GetArtistURL(t.Context(), &api.ArtistURLRequest{})
			for what, err := range map[string]error{"OnInit": initialised, "a call": asked} {
				if err == nil {
					t.Errorf("%s accepts them", what)
					continue
				}
				for _, part := range test.want {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%s: %q is not in: %v", what, part, err)
					}
				}
				if test.not != "" && strings.Contains(err.Error(), test.not) {
					t.Errorf("%s: %q is in: %v", what, test.not, err)
				}
			}
			if sent := host.Requests(); len(sent) > 0 {
				t.Errorf("asks %s all the same", sent[0].URL)
			}
		})
	}
}

func TestOnInitAsksNobody(t *testing.T) {
	t.Parallel()
	if sent := load(t, "plugin", "wiki").Requests(); len(sent) > 0 {
		t.Errorf("asks %s", sent[0].URL)
	}
}
