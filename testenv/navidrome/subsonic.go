package navidrome

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Codes of the Subsonic API.
const (
	codeMissing   = 10
	codeLogin     = 40
	codeForbidden = 50
	codeNotFound  = 70
)

type user struct {
	name  string
	admin bool
}

func userNamed(name string) (user, bool) {
	users := []user{{name: "joe"}, {name: "alice", admin: true}, {name: "bob"}}
	i := slices.IndexFunc(users, func(u user) bool { return strings.EqualFold(u.name, name) })
	if i < 0 {
		return user{}, false
	}
	return users[i], true
}

// serve answers an endpoint, with or without ".view". Unlike what exists, what does
// not exist needs no login.
func (f *Fake) serve(w http.ResponseWriter, r *http.Request) {
	endpoint, ok := strings.CutPrefix(r.URL.Path, f.base+"/rest/")
	endpoint = strings.TrimSuffix(endpoint, ".view")
	answer := f.endpoint(endpoint)
	if !ok || answer == nil {
		http.NotFound(w, r)
		return
	}
	for _, name := range []string{"v", "c"} {
		if r.Form.Get(name) == "" {
			fail(w, r, codeMissing, "missing parameter: '"+name+"'")
			return
		}
	}
	name := r.Header.Get(f.UserHeader)
	if !f.untrusted && name == "" && r.Form.Get("u") == "" {
		fail(w, r, codeMissing, "missing parameter: 'u'")
		return
	}
	who, known := userNamed(name)
	if f.untrusted || !known { // nobody has a password
		fail(w, r, codeLogin, "Wrong username or password")
		return
	}
	answer(w, r, who)
}

// endpoint returns what answers an endpoint, nil for one that does not exist.
func (f *Fake) endpoint(name string) func(http.ResponseWriter, *http.Request, user) {
	switch name {
	case "ping":
		return func(w http.ResponseWriter, r *http.Request, _ user) { succeed(w, r, nil) }
	case "getUser":
		return getUser
	case "getSong":
		return f.getSong
	case "getArtist":
		return getArtist
	case "getAlbumList2":
		return getAlbumList2
	case "scrobble":
		return f.scrobble
	case "getCoverArt":
		return getCoverArt
	case "jukeboxControl", "getPodcasts":
		return plain(http.StatusNotImplemented, "not implemented yet")
	case "search":
		return plain(http.StatusGone, "never to be implemented")
	default:
		return nil
	}
}

func plain(status int, text string) func(http.ResponseWriter, *http.Request, user) {
	return func(w http.ResponseWriter, _ *http.Request, _ user) { http.Error(w, text, status) }
}

func getUser(w http.ResponseWriter, r *http.Request, who user) {
	name := r.Form.Get("username")
	asked, known := userNamed(name)
	switch {
	case name == "":
		fail(w, r, codeMissing, "missing parameter: 'username'")
	case !who.admin && !strings.EqualFold(name, who.name):
		fail(w, r, codeForbidden, "User is not authorized for the given operation")
	case !known:
		fail(w, r, codeNotFound, "User not found")
	default:
		succeed(w, r, map[string]any{"user": map[string]any{
			"username": asked.name, "adminRole": asked.admin, "scrobblingEnabled": true, "streamRole": true, "folder": []int{1},
		}})
	}
}

func (f *Fake) getSong(w http.ResponseWriter, r *http.Request, _ user) {
	if r.Form.Get("id") != "t1" {
		fail(w, r, codeNotFound, "data not found")
		return
	}
	f.mu.Lock()
	plays := f.plays
	f.mu.Unlock()
	succeed(w, r, map[string]any{"song": map[string]any{
		"id": "t1", "title": "Sinnerman", "album": "Pastel Blues", "albumId": "al1", "artist": "Nina Simone", "artistId": "ar1",
		"coverArt": "mf-t1_0", "year": 1965, "playCount": plays, "duration": 622, "isDir": false,
	}})
}

func getArtist(w http.ResponseWriter, r *http.Request, _ user) {
	if r.Form.Get("id") != "ar1" {
		fail(w, r, codeNotFound, "artist not found")
		return
	}
	succeed(w, r, map[string]any{"artist": map[string]any{"id": "ar1", "name": "Nina Simone", "albumCount": 1}})
}

func getAlbumList2(w http.ResponseWriter, r *http.Request, _ user) {
	if r.Form.Get("type") == "" {
		fail(w, r, codeMissing, "missing parameter: 'type'")
		return
	}
	succeed(w, r, map[string]any{"albumList2": map[string]any{"album": []any{map[string]any{
		"id": "al1", "name": "Pastel Blues", "artist": "Nina Simone", "artistId": "ar1", "coverArt": "al-al1_0", "year": 1965, "songCount": 1,
	}}}})
}

func (f *Fake) scrobble(w http.ResponseWriter, r *http.Request, who user) {
	if r.Form.Get("id") == "" {
		fail(w, r, codeMissing, "missing parameter: 'id'")
		return
	}
	if f.scrobbled != nil {
		f.scrobbled(who.name, r)
	}
	if r.Form.Get("submission") != "false" && slices.Contains(r.Form["id"], "t1") {
		f.mu.Lock()
		f.plays++
		f.mu.Unlock()
	}
	succeed(w, r, nil)
}

func getCoverArt(w http.ResponseWriter, r *http.Request, _ user) {
	image, err := cover(r.Form.Get("id"), r.Form.Get("size"))
	if err != nil {
		fail(w, r, codeNotFound, "Artwork not found")
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=315360000")
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Content-Length", fmt.Sprint(len(image)))
	_, _ = w.Write(image)
}
