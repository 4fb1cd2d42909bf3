package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/config"
	"github.com/pluginhost/pluginhost/sdk/api/host/http"
)

// wiki answers with its pages and notes what it was asked for.
type wiki struct {
	pages map[string]*http.HttpResponse // by URL; others are status 404
	err   error
	asked []string
}

func (w *wiki) Get(_ context.Context, request *http.HttpRequest) (*http.HttpResponse, error) {
	w.asked = append(w.asked, request.Url)
	if w.err != nil {
		return nil, w.err
	}
	if page, ok := w.pages[request.Url]; ok {
		return page, nil
	}
	return &http.HttpResponse{Status: 404, Body: []byte(`{"title":"Not found."}`)}, nil
}

type entries map[string]string

func (e entries) GetPluginConfig(context.Context, *config.GetPluginConfigRequest) (*config.GetPluginConfigResponse, error) {
	return &config.GetPluginConfigResponse{Config: e}, nil
}

const english = "https://en.wikipedia.org/api/rest_v1/page/summary/"

func article(description, extract string) *http.HttpResponse {
	return &http.HttpResponse{Status: 200, Body: fmt.Appendf(nil, `{
		"type": "standard", "description": %q, "extract": %q,
		"originalimage": {"source": "https://upload.example/large.jpg", "width": 2000, "height": 3000},
		"thumbnail": {"source": "https://upload.example/small.jpg", "width": 213, "height": 320},
		"content_urls": {"desktop": {"page": "https://en.wikipedia.org/wiki/Page"}}
	}`, description, extract)}
}

var disambiguation = &http.HttpResponse{Status: 200, Body: []byte(`{"type": "disambiguation", "extract": "Kiss may refer to:"}`)}

func biography(t *testing.T, w *wiki, settings entries, name string) (string, error) {
	t.Helper()
	response, err := agent{http: w, config: settings}.GetArtistBiography(context.Background(), &api.ArtistBiographyRequest{Name: name})
	return response.GetBiography(), err
}

func TestPageIsLookedForUntilOneIsAboutAnArtist(t *testing.T) {
	for _, test := range []struct {
		name     string
		artist   string
		settings entries
		pages    map[string]*http.HttpResponse
		want     string   // the biography; empty is not found
		asked    []string // after english
	}{
		{
			name:   "the page under the plain name is taken when it is about a musician",
			artist: " Nina Simone ", pages: map[string]*http.HttpResponse{english + "Nina_Simone": article("American singer", "She sang.")},
			want: "She sang.", asked: []string{"Nina_Simone"},
		},
		{
			name:   "a list of meanings leads to the page with a suffix",
			artist: "Kiss", pages: map[string]*http.HttpResponse{english + "Kiss": disambiguation, english + "Kiss_%28band%29": article("American rock band", "Loud.")},
			want: "Loud.", asked: []string{"Kiss", "Kiss_%28band%29"},
		},
		{
			name:   "a city of that name is passed over",
			artist: "Boston", pages: map[string]*http.HttpResponse{english + "Boston": article("City in Massachusetts", "A city."), english + "Boston_%28band%29": article("American rock band", "A band.")},
			want: "A band.", asked: []string{"Boston", "Boston_%28band%29"},
		},
		{
			name:   "nothing is found when only other things have the name",
			artist: "Cream", pages: map[string]*http.HttpResponse{english + "Cream": article("Dairy product", "Fat.")},
			asked: []string{"Cream", "Cream_%28band%29", "Cream_%28musician%29", "Cream_%28singer%29", "Cream_%28rapper%29"},
		},
		{
			name:   "a page without a description is taken",
			artist: "Someone", pages: map[string]*http.HttpResponse{english + "Someone": article("", "Somebody.")},
			want: "Somebody.", asked: []string{"Someone"},
		},
		{
			name:   "empty words in the configuration take every article",
			artist: "Boston", settings: entries{"words": ""}, pages: map[string]*http.HttpResponse{english + "Boston": article("City", "A city.")},
			want: "A city.", asked: []string{"Boston"},
		},
		{
			name:   "suffixes and words come from the configuration",
			artist: "Kiss", settings: entries{"suffixes": "Gruppe", "words": "Rock"}, pages: map[string]*http.HttpResponse{english + "Kiss": disambiguation, english + "Kiss_%28Gruppe%29": article("US-amerikanische rockband", "Laut.")},
			want: "Laut.", asked: []string{"Kiss", "Kiss_%28Gruppe%29"},
		},
		{
			name:   "a slash and a question mark in a name stay in the title",
			artist: "AC/DC?", settings: entries{"suffixes": ""}, pages: map[string]*http.HttpResponse{english + "AC%2FDC%3F": article("band", "Volts.")},
			want: "Volts.", asked: []string{"AC%2FDC%3F"},
		},
		{
			name:   "an article without a text is not found",
			artist: "Nobody", pages: map[string]*http.HttpResponse{english + "Nobody": article("singer", "  ")},
			asked: []string{"Nobody"},
		},
		{name: "a name that no title can have is not asked for", artist: "../secret", settings: entries{"suffixes": ""}},
		{name: "an empty name is not asked for", artist: " ", settings: entries{"suffixes": ""}},
		{name: "an over-long name is not asked for", artist: strings.Repeat("x", 256)},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := &wiki{pages: test.pages}
			got, err := biography(t, w, test.settings, test.artist)
			if test.want == "" && !errors.Is(err, api.ErrNotFound) || test.want != "" && err != nil {
				t.Errorf("error %v", err)
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			for i := range w.asked {
				w.asked[i] = strings.TrimPrefix(w.asked[i], english)
			}
			if !slices.Equal(w.asked, test.asked) {
				t.Errorf("asked for %q, want %q", w.asked, test.asked)
			}
		})
	}
}

func TestFailureIsNotReportedAsNotFound(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer *http.HttpResponse
		err    error
		want   string
	}{
		{name: "no connection", answer: &http.HttpResponse{Error: "connection refused"}, want: "connection refused"},
		{name: "a stopped redirect", answer: &http.HttpResponse{Status: 302, Error: "Request blocked by plugin permissions: redirect: no"}, want: "blocked"},
		{name: "too many requests", answer: &http.HttpResponse{Status: 429, Body: []byte("slow down")}, want: "status 429: slow down"},
		{name: "a broken server", answer: &http.HttpResponse{Status: 500}, want: "status 500"},
		{name: "no JSON", answer: &http.HttpResponse{Status: 200, Body: []byte("<html>")}, want: "not the JSON expected"},
		{name: "too much JSON", answer: &http.HttpResponse{Status: 200, Body: make([]byte, maxSummary+1)}, want: "more than"},
		{name: "a failing host", err: errors.New("no host"), want: "no host"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := &wiki{pages: map[string]*http.HttpResponse{english + "X": test.answer}, err: test.err}
			_, err := biography(t, w, nil, "X")
			if err == nil || errors.Is(err, api.ErrNotFound) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestConfigurationChoosesTheSite(t *testing.T) {
	for _, test := range []struct {
		name     string
		settings entries
		want     string
	}{
		{"English is the default", nil, english + "X"},
		{"another language", entries{"language": "pt-br"}, "https://pt-br.wikipedia.org/api/rest_v1/page/summary/X"},
		{"another site", entries{"language": "de", "base_url": "http://127.0.0.1:8000/"}, "http://127.0.0.1:8000/api/rest_v1/page/summary/X"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := &wiki{}
			if _, err := biography(t, w, test.settings, "X"); !errors.Is(err, api.ErrNotFound) {
				t.Fatal(err)
			}
			if w.asked[0] != test.want {
				t.Errorf("asked for %s, want %s", w.asked[0], test.want)
			}
		})
	}
}

func TestBadConfigurationIsNamed(t *testing.T) {
	for key, value := range map[string]string{"language": "evil.example/", "base_url": "ftp://x", "suffixes": "a,b,c,d,e"} {
		t.Run(key, func(t *testing.T) {
			w := &wiki{}
			_, err := biography(t, w, entries{key: value}, "X")
			if err == nil || !strings.Contains(err.Error(), key) || len(w.asked) > 0 {
				t.Errorf("got %v after %q, want an error that names %s", err, w.asked, key)
			}
		})
	}
}

func TestBiographyIsCutBetweenCharacters(t *testing.T) {
	w := &wiki{pages: map[string]*http.HttpResponse{english + "X": article("singer", strings.Repeat("é", maxBiography))}}
	got, err := biography(t, w, nil, "X")
	if err != nil {
		t.Fatal(err)
	}
	if len(got) > maxBiography || !utf8.ValidString(got) || !strings.HasSuffix(got, "é…") {
		t.Errorf("got %d bytes ending in %q", len(got), got[len(got)-8:])
	}
}

func TestURLAndImagesComeFromThePage(t *testing.T) {
	w := &wiki{pages: map[string]*http.HttpResponse{english + "X": article("singer", "Text.")}}
	a := agent{http: w, config: entries{}}
	address, err := a.GetArtistURL(context.Background(), &api.ArtistURLRequest{Name: "X"})
	if err != nil || address.Url != "https://en.wikipedia.org/wiki/Page" {
		t.Errorf("URL: got %v, %v", address, err)
	}
	found, err := a.GetArtistImages(context.Background(), &api.ArtistImageRequest{Name: "X"})
	if err != nil || len(found.Images) != 2 {
		t.Fatalf("images: got %v, %v", found, err)
	}
	if got := found.Images[0]; got.Url != "https://upload.example/large.jpg" || got.Size != 2000 {
		t.Errorf("first image: got %v", got)
	}
}

func TestPageWithoutURLAndImagesIsNotFound(t *testing.T) {
	bare := &http.HttpResponse{Status: 200, Body: []byte(`{"type":"standard","thumbnail":{"source":"javascript:alert(1)","width":1}}`)}
	a := agent{http: &wiki{pages: map[string]*http.HttpResponse{english + "X": bare}}, config: entries{}}
	if _, err := a.GetArtistURL(context.Background(), &api.ArtistURLRequest{Name: "X"}); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("URL: got %v", err)
	}
	if _, err := a.GetArtistImages(context.Background(), &api.ArtistImageRequest{Name: "X"}); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("images: got %v", err)
	}
}
