package bridge060_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	extism "github.com/extism/go-sdk"

	"github.com/pluginhost/pluginhost/bridges/extismhost"
)

func checkSettings(t *testing.T, b *bridge) {
	for _, c := range []struct {
		config map[string]string
		want   string
	}{
		{nil, "the setting url is missing"},
		{map[string]string{"token": token}, "the setting url is missing"},
		{settings("  //  "), "the setting url is missing"},
		{settings("host:8080"), "the setting url is no address"},
		{settings("ftp://host"), "the setting url is no address"},
		{settings("http://"), "the setting url is no address"},
		{settings("http:///path"), "the setting url is no address"},
		{settings("http://:8080"), "the setting url is no address"},
		{settings("http://host/?a=b"), "the setting url is no address"},
		{settings("http://host/#a"), "the setting url is no address"},
		{settings("http://ho st"), "the setting url is no address"},
		{settings("http://host\n/"), "the setting url is no address"},
		{settings("http://h\xc3\xb6st"), "the setting url is no address"},
		{map[string]string{"url": "http://host"}, "the setting token is missing"},
		{settings("http://host", "token", " \n"), "the setting token is missing"},
		{settings("http://host", "token", "a\r\nX: y"), "the setting token has characters"},
		{settings("http://host", "token", "\xff"), "the setting token has characters"},
	} {
		plugin, w := b.world(t, c.config)
		err := plugin.Call(t.Context(), biography, json.RawMessage(artist), nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("with %q: %v", c.config, err)
		}
		err = plugin.Call(t.Context(), scrobbles, json.RawMessage(play), nil)
		checkPlayFailure(t, c.want, err, extismhost.Kept)
		if !strings.Contains(err.Error(), c.want) || w.requests() > 0 {
			t.Errorf("with %q, %d requests: %v", c.config, w.requests(), err)
		}
	}
}

func checkAddresses(t *testing.T, b *bridge) {
	for url, want := range map[string]string{
		"http://host:8080":              "http://host:8080/v1/plugins/p/get_artist_biography",
		" HTTPS://host/ ":               "HTTPS://host/v1/plugins/p/get_artist_biography",
		"http://[::1]:8080//":           "http://[::1]:8080/v1/plugins/p/get_artist_biography",
		"http://host/music/pluginhost/": "http://host/music/pluginhost/v1/plugins/p/get_artist_biography",
	} {
		plugin, w := b.world(t, settings(url, "plugin", " p\n"))
		w.says(http.StatusOK, `{}`)
		if err := plugin.Call(t.Context(), biography, json.RawMessage(artist), nil); err != nil || w.asked().URL != want {
			t.Errorf("%s: asked %s, %v", url, w.asked().URL, err)
		}
	}
	for id, want := range map[string]string{
		"a-b_c.d~9": "a-b_c.d~9", "a/b": "a%2Fb", "a b?c#d%": "a%20b%3Fc%23d%25", "..": "%2E%2E", "é": "%C3%A9", "a+b&c=d": "a%2Bb%26c%3Dd",
	} {
		plugin, w := b.world(t, settings("http://host", "plugin", id))
		w.says(http.StatusAccepted, `{"v":1}`)
		if err := plugin.Call(t.Context(), scrobbles, json.RawMessage(play), nil); err != nil || w.asked().URL != "http://host/v1/scrobbles/"+want {
			t.Errorf("%s: asked %s, %v", id, w.asked().URL, err)
		}
	}
}

func checkToken(t *testing.T, b *bridge) {
	plugin, w := b.world(t, settings("http://host", "token", " "+token+"\n"))
	w.says(http.StatusUnauthorized, failure(401, "unauthorized"))
	for export, input := range map[string]string{biography: artist, scrobbles: play, tells: nowPlaying} {
		err := plugin.Call(t.Context(), export, json.RawMessage(input), nil)
		if err == nil || strings.Contains(err.Error(), token) {
			t.Errorf("%s: %v", export, err)
		}
		asked := w.asked()
		if asked.Headers["Authorization"] != "Bearer "+token || strings.Contains(asked.URL, token) || strings.Contains(string(asked.Body), token) {
			t.Errorf("%s: %+v", export, asked)
		}
	}
}

// Navidrome tells of a play no more than that it is tried again, and of an agent nothing.
func checkLogged(t *testing.T, b *bridge) {
	var logged []string
	w := &world{}
	plugin := b.load(t, extismhost.Options{Config: settings("http://host"), Send: w.send, Log: func(level extism.LogLevel, text string) {
		logged = append(logged, level.String()+" "+text)
	}})
	w.says(http.StatusUnauthorized, failure(401, "unauthorized"))
	for export, input := range map[string]string{biography: artist, scrobbles: play, tells: nowPlaying} {
		logged = nil
		err := plugin.Call(t.Context(), export, json.RawMessage(input), nil)
		if err == nil || len(logged) != 1 || !strings.HasPrefix(logged[0], extism.LogLevelWarn.String()+" pluginhost: ") || !strings.Contains(err.Error(), strings.SplitN(logged[0], " ", 2)[1]) {
			t.Errorf("%s: logged %q, failed with %v", export, logged, err)
		}
	}
	logged = nil
	w.says(http.StatusNotFound, failure(404, "plugin:not_found"))
	if err := plugin.Call(t.Context(), biography, json.RawMessage(artist), nil); err != nil || len(logged) > 0 {
		t.Errorf("nothing was found: logged %q, failed with %v", logged, err)
	}
}

func checkTimeouts(t *testing.T, b *bridge) {
	for timeout, want := range map[string]struct {
		agent, scrobble, nowPlaying int
		header                      string
	}{
		"":          {10_000, 10_000, 3_000, "9000ms"},
		"5":         {5_000, 5_000, 3_000, "4500ms"},
		"2.5":       {2_000, 2_000, 2_000, "1800ms"},
		"15s":       {15_000, 10_000, 3_000, "13500ms"},
		"0":         {1_000, 1_000, 1_000, "900ms"},
		"-3":        {10_000, 10_000, 3_000, "9000ms"},
		"soon":      {10_000, 10_000, 3_000, "9000ms"},
		"1e+21":     {1_000, 1_000, 1_000, "900ms"},
		"999999999": {25_000, 10_000, 3_000, "22500ms"},
	} {
		plugin, w := b.world(t, settings("http://host", "timeout", timeout))
		w.says(http.StatusServiceUnavailable, "")
		for _, c := range []struct {
			export, input string
			want          int
			header        string
		}{{biography, artist, want.agent, want.header}, {scrobbles, play, want.scrobble, ""}, {tells, nowPlaying, want.nowPlaying, ""}} {
			if err := plugin.Call(t.Context(), c.export, json.RawMessage(c.input), nil); err == nil {
				t.Errorf("%s does not fail", c.export)
			}
			if asked := w.asked(); asked.TimeoutMs != c.want || asked.Headers["Pluginhost-Timeout"] != c.header {
				t.Errorf("with %q, %s may take %d ms, the plugin %q", timeout, c.export, asked.TimeoutMs, asked.Headers["Pluginhost-Timeout"])
			}
		}
	}
}
