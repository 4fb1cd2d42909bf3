package navidrome_test

import (
	"bytes"
	"errors"
	"image/png"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/hostsvc/navidrome"
	fake "github.com/pluginhost/pluginhost/testenv/navidrome"
)

func TestCoverArtIsTheImageOfTheSize(t *testing.T) {
	f := fake.Start(t)
	s := newServer(t, f.URL)
	for _, test := range []struct {
		id         string
		size, want int
	}{{"al-al1_0", 0, 300}, {"ar-ar1_0", 64, 64}, {"mf-t1_0", -5, 300}, {"mf-t1_0", 1 << 30, 1000}} {
		image, err := s.CoverArt(t.Context(), "joe", test.id, test.size)
		if err != nil {
			t.Errorf("%s: %v", test.id, err)
			continue
		}
		got, err := png.DecodeConfig(bytes.NewReader(image.Body))
		if err != nil || got.Width != test.want || image.ContentType != "image/png" {
			t.Errorf("%s: got %s of width %d, error %v; want %d", test.id, image.ContentType, got.Width, err, test.want)
		}
	}
}

func TestWhyThereIsNoCoverArt(t *testing.T) {
	f, suspicious := fake.Start(t), fake.Start(t, fake.WithoutTrust())
	answering := func(status int, contentType, body string) string {
		return instead(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		})
	}
	for _, test := range []struct {
		name, address, user, id string
		want                    error
		text                    string
	}{
		{"an unknown image", f.URL, "joe", "al-none_0", navidrome.ErrNoArtwork, `"al-none_0"`},
		{"status 404", answering(404, "text/plain", "no"), "joe", "al-al1_0", navidrome.ErrUnavailable, `base path in [Navidrome] URL? It sent "no"`},
		{"an unknown user", f.URL, "eve", "al-al1_0", navidrome.ErrUnavailable, "check [Navidrome] User"},
		{"an address that is not trusted", suspicious.URL, "joe", "al-al1_0", navidrome.ErrUnavailable, "check [Navidrome] User"},
		{"another error", answering(200, "application/json", `{"subsonic-response":{"error":{"code":50,"message":"no \n"}}}`), "joe", "al-al1_0", navidrome.ErrUnavailable, `error 50, "no \n"`},
		{"JSON of another kind", answering(200, "application/json; charset=utf-8", `[]`), "joe", "al-al1_0", navidrome.ErrUnavailable, `cannot be read instead of an image: "[]"`},
		{"JSON of somebody else", answering(200, "application/json", `{"error":"unauthorized"}`), "joe", "al-al1_0", navidrome.ErrUnavailable, `not a Subsonic API's instead of an image: "{\"error\":\"unauthorized\"}"`},
		{"a page of a proxy", answering(502, "text/html", "<html>\n<h1>Bad Gateway</h1>"+strings.Repeat("x", 1000)), "joe", "al-al1_0", navidrome.ErrUnavailable, `"502 Bad Gateway" instead of an image: "<html> <h1>Bad Gateway</h1>`},
		{"status 500", answering(500, "image/png", "x"), "joe", "al-al1_0", navidrome.ErrUnavailable, `"500 Internal Server Error"`},
		{"a user that cannot be sent", f.URL, "", "al-al1_0", navidrome.ErrRequest, "user name"},
	} {
		image, err := newServer(t, test.address).CoverArt(t.Context(), test.user, test.id, 0)
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) || len(image.Body) != 0 {
			t.Errorf("%s: got %d bytes, error %v; want %v with %q in it", test.name, len(image.Body), err, test.want, test.text)
		}
		if errors.Is(err, navidrome.ErrNoArtwork) && errors.Is(err, navidrome.ErrUnavailable) {
			t.Errorf("%s: %v is both", test.name, err)
		}
	}
}
