package scrobble

import (
	"errors"
	"testing"
)

// Whatever is published is a play or says why not.
func FuzzReadPlay(f *testing.F) {
	for _, body := range []string{
		"", "\xff\xff", `{`, `{"track": 7}`, `{"username":"joe","track":{"name":"t"},"timestamp":"1700000000"}`,
		"\x12\x03joe\x1a\x03\x1a\x01t\x20\x01", "\x1a\xff\xff\xff\xff\x0f", `{"username":"` + "\xff" + `","track":{"name":"t"},"timestamp":1}`,
	} {
		f.Add([]byte(body), "")
		f.Add([]byte(body), "application/json")
	}
	f.Fuzz(func(t *testing.T, body []byte, kind string) {
		p, err := readPlay(map[string][]string{"Content-Type": {kind}}, body)
		if err != nil {
			if !errors.Is(err, errNoPlay) {
				t.Fatalf("%v is no errNoPlay", err)
			}
			return
		}
		if p.request.Track.Name == "" || p.request.Timestamp <= 0 || p.user == (User{}) || len(p.id("joe")) != 32 {
			t.Fatalf("a play without what it needs: %+v", p.request)
		}
		if _, err := p.encode(p.user); err != nil {
			t.Fatal(err)
		}
	})
}
