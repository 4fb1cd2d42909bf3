package schema

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/sdk/api"
)

func method(t testing.TB, capability, name string) *Method {
	t.Helper()
	c, ok := Navidrome058().Capability(capability)
	if !ok {
		t.Fatalf("no capability %q", capability)
	}
	i := slices.IndexFunc(c.Methods, func(m *Method) bool { return m.Name == name })
	if i < 0 {
		t.Fatalf("no method %q in %s", name, capability)
	}
	return c.Methods[i]
}

func TestContractHasFiveCapabilitiesAndSeventeenMethods(t *testing.T) {
	var names, versions, exports []string
	for _, c := range Navidrome058().Capabilities() {
		names = append(names, c.Name)
		versions = append(versions, c.VersionExport)
		for _, m := range c.Methods {
			exports = append(exports, m.Export)
		}
	}
	if want := []string{"MetadataAgent", "Scrobbler", "SchedulerCallback", "LifecycleManagement", "WebSocketCallback"}; !slices.Equal(names, want) {
		t.Errorf("capabilities = %v, want %v", names, want)
	}
	if want := []string{
		"metadata_agent_api_version", "scrobbler_api_version", "scheduler_callback_api_version",
		"lifecycle_management_api_version", "web_socket_callback_api_version",
	}; !slices.Equal(versions, want) {
		t.Errorf("version exports = %v, want %v", versions, want)
	}
	if want := []string{
		"metadata_agent_get_artist_mbid", "metadata_agent_get_artist_url", "metadata_agent_get_artist_biography",
		"metadata_agent_get_similar_artists", "metadata_agent_get_artist_images", "metadata_agent_get_artist_top_songs",
		"metadata_agent_get_album_info", "metadata_agent_get_album_images",
		"scrobbler_is_authorized", "scrobbler_now_playing", "scrobbler_scrobble",
		"scheduler_callback_on_scheduler_callback", "lifecycle_management_on_init",
		"web_socket_callback_on_text_message", "web_socket_callback_on_binary_message",
		"web_socket_callback_on_error", "web_socket_callback_on_close",
	}; !slices.Equal(exports, want) {
		t.Errorf("exports = %v, want %v", exports, want)
	}
}

func TestContractHasThirtyHostFunctionsWithoutACollision(t *testing.T) {
	owner := map[string]string{}
	for _, service := range Navidrome058().HostServices() {
		for _, function := range service.Functions {
			if other, taken := owner[function]; taken {
				t.Errorf("%s belongs to %s and %s", function, other, service.Permission)
			}
			owner[function] = service.Permission
		}
	}
	if len(owner) != 30 || owner["get_artist_url"] != "artwork" || owner["get_plugin_config"] != "config" || owner["call"] != "subsonicapi" {
		t.Errorf("%d functions: %v", len(owner), owner)
	}
}

func TestRequestFromJSONAcceptsBothFieldCasings(t *testing.T) {
	m := method(t, "Scrobbler", "scrobble")
	for _, body := range []string{
		`{"user_id":"u1","track":{"album_mbid":"a1"},"timestamp":"7"}`,
		`{"userId":"u1","track":{"albumMbid":"a1"},"timestamp":7}`,
	} {
		b, err := m.RequestFromJSON([]byte(body))
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		var request api.ScrobblerScrobbleRequest
		if err := request.UnmarshalVT(b); err != nil {
			t.Fatal(err)
		}
		if request.UserId != "u1" || request.Track.AlbumMbid != "a1" || request.Timestamp != 7 {
			t.Errorf("%s decoded as %+v", body, &request)
		}
	}
}

func TestRequestFromJSONRefusesWhatDoesNotDecode(t *testing.T) {
	m := method(t, "MetadataAgent", "get_artist_biography")
	for _, body := range []string{``, `{`, `[]`, `{"name":1}`, `{"nam":"x"}`, `{} {}`, "{\"name\":\"\xff\"}"} {
		if b, err := m.RequestFromJSON([]byte(body)); err == nil {
			t.Errorf("%q was accepted as %x", body, b)
		}
	}
}

func TestResponseToJSON(t *testing.T) {
	similar := method(t, "MetadataAgent", "get_similar_artists")
	biography := method(t, "MetadataAgent", "get_artist_biography")
	for name, c := range map[string]struct {
		method *Method
		body   interface{ MarshalVT() ([]byte, error) }
		want   string
	}{
		"defaults are omitted": {biography, &api.ArtistBiographyResponse{}, `{}`},
		"text passes":          {biography, &api.ArtistBiographyResponse{Biography: "é"}, `{"biography":"é"}`},
		"invalid UTF-8 is replaced at any depth": {similar, &api.ArtistSimilarResponse{Artists: []*api.Artist{
			{Name: "ok", Mbid: "1"}, {Name: "a\xffb", Mbid: "2"},
		}}, "{\"artists\":[{\"name\":\"ok\",\"mbid\":\"1\"},{\"name\":\"a\uFFFDb\",\"mbid\":\"2\"}]}"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := c.body.MarshalVT()
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.method.ResponseToJSON(b)
			if err != nil {
				t.Fatal(err)
			}
			if compact(got) != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// compact drops the spaces that protojson puts in at random.
func compact(b []byte) string {
	return string(slices.DeleteFunc(slices.Clone(b), func(c byte) bool { return c == ' ' }))
}

func TestResponseToJSONRefusesGarbage(t *testing.T) {
	m := method(t, "MetadataAgent", "get_artist_biography")
	if out, err := m.ResponseToJSON([]byte{0x0a, 0xff, 0x01}); !errors.Is(err, ErrNotMessage) {
		t.Errorf("got %s, %v, want ErrNotMessage", out, err)
	}
}

func FuzzResponseToJSON(f *testing.F) {
	f.Add([]byte("\x0a\x03a\xffb"))
	f.Add([]byte{0x0a, 0x80, 0x80, 0x80, 0x80, 0x10})
	f.Add([]byte{0x0b, 0x0c})
	m := method(f, "MetadataAgent", "get_similar_artists")
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := m.ResponseToJSON(b); err != nil && !errors.Is(err, ErrNotMessage) {
			t.Errorf("unexpected kind of error: %v", err)
		}
	})
}

func FuzzRequestFromJSON(f *testing.F) {
	f.Add([]byte(`{"id":"1","name":"x","mbid":"y"}`))
	f.Add([]byte(`{"id":{}}`))
	m := method(f, "MetadataAgent", "get_artist_biography")
	f.Fuzz(func(t *testing.T, body []byte) {
		b, err := m.RequestFromJSON(body)
		if err != nil {
			return
		}
		if err := new(api.ArtistBiographyRequest).UnmarshalVT(b); err != nil {
			t.Errorf("%q gave bytes that do not decode: %v", body, err)
		}
	})
}

func TestMessagesOfManyValuesAreNotConverted(t *testing.T) {
	scrobble := method(t, "Scrobbler", "scrobble")
	artists := func(n int) []byte {
		return []byte(`{"track":{"artists":[` + strings.Repeat("{},", n-1) + `{}]}}`)
	}
	if _, err := scrobble.RequestFromJSON(artists(40_000)); err != nil {
		t.Errorf("40,000 artists: %v", err)
	}
	for name, body := range map[string][]byte{
		"artists":           artists(100_000),
		"nested lists":      []byte(strings.Repeat("[", 100_001)),
		"after an odd text": append([]byte(`{"userId":"\\\"[[[{{{,,,",`), artists(100_000)[1:]...),
	} {
		if _, err := scrobble.RequestFromJSON(body); !errors.Is(err, ErrManyValues) {
			t.Errorf("100,000 %s: got %.100v, want ErrManyValues", name, err)
		}
	}
	if _, err := scrobble.RequestFromJSON([]byte(`{"userId":"` + strings.Repeat(`,{[\"`, 100_000) + `"}`)); err != nil {
		t.Errorf("a text of 300,000 marks: %v", err)
	}

	similar := method(t, "MetadataAgent", "get_similar_artists")
	if _, err := similar.ResponseToJSON(bytes.Repeat([]byte{0x0a, 0x00}, 100_000)); err != nil {
		t.Errorf("100,000 artists of a response: %v", err)
	}
	for name, response := range map[string][]byte{
		"artists":        bytes.Repeat([]byte{0x0a, 0x00}, 100_001),
		"unknown fields": bytes.Repeat([]byte{0x78, 0x00}, 100_001),
	} {
		if _, err := similar.ResponseToJSON(response); !errors.Is(err, ErrManyValues) {
			t.Errorf("100,001 %s of a response: got %.100v, want ErrManyValues", name, err)
		}
	}
}
