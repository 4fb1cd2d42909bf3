package main

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/config"
	"github.com/pluginhost/pluginhost/sdk/api/host/http"
)

// Bounds on what goes back to the caller, in bytes.
const (
	maxBiography = 8 << 10
	maxURL       = 2 << 10
)

// agent answers from the summary of an artist's page. It keeps nothing between
// calls.
type agent struct {
	api.UnimplementedMetadataAgent
	http   getter
	config config.ConfigService
}

// getter is the part of http.HttpService that the agent uses.
type getter interface {
	Get(ctx context.Context, request *http.HttpRequest) (*http.HttpResponse, error)
}

// GetArtistBiography returns the introduction of the artist's page.
func (a agent) GetArtistBiography(ctx context.Context, request *api.ArtistBiographyRequest) (*api.ArtistBiographyResponse, error) {
	page, err := a.find(ctx, request.Name)
	if err != nil {
		return nil, err
	}
	text := shorten(strings.TrimSpace(page.Extract), maxBiography)
	if text == "" {
		// An empty biography would count as an answer and keep the host from
		// asking another agent.
		return nil, api.ErrNotFound
	}
	return &api.ArtistBiographyResponse{Biography: text}, nil
}

// GetArtistURL returns the address of the artist's page.
func (a agent) GetArtistURL(ctx context.Context, request *api.ArtistURLRequest) (*api.ArtistURLResponse, error) {
	page, err := a.find(ctx, request.Name)
	if err != nil {
		return nil, err
	}
	if !isWebAddress(page.ContentURLs.Desktop.Page) {
		return nil, api.ErrNotFound
	}
	return &api.ArtistURLResponse{Url: page.ContentURLs.Desktop.Page}, nil
}

// GetArtistImages returns the page's main image, full size and small.
func (a agent) GetArtistImages(ctx context.Context, request *api.ArtistImageRequest) (*api.ArtistImageResponse, error) {
	page, err := a.find(ctx, request.Name)
	if err != nil {
		return nil, err
	}
	response := &api.ArtistImageResponse{}
	for _, image := range []image{page.OriginalImage, page.Thumbnail} {
		if isWebAddress(image.Source) {
			response.Images = append(response.Images, &api.ExternalImage{Url: image.Source, Size: image.Width})
		}
	}
	if len(response.Images) == 0 {
		return nil, api.ErrNotFound
	}
	return response, nil
}

// find returns the page about an artist. A title can be taken by something else
// (Boston, Cream) or by a list of meanings; then the artist's page has a word in
// brackets behind the name.
func (a agent) find(ctx context.Context, name string) (*summary, error) {
	settings, err := a.settings(ctx)
	if err != nil {
		return nil, err
	}
	name = strings.TrimSpace(name)
	titles := []string{name}
	for _, suffix := range settings.suffixes {
		titles = append(titles, name+" ("+suffix+")")
	}
	for _, title := range titles {
		page, err := a.fetch(ctx, settings.baseURL, title)
		if err != nil {
			return nil, err
		}
		if page != nil && page.isAbout(settings.words) {
			return page, nil
		}
	}
	return nil, api.ErrNotFound
}

// shorten cuts a text between two characters.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	end := limit - len("…")
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return strings.TrimSpace(text[:end]) + "…"
}

func isWebAddress(address string) bool {
	return len(address) <= maxURL && (strings.HasPrefix(address, "https://") || strings.HasPrefix(address, "http://"))
}
