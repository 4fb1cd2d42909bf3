package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/pluginhost/pluginhost/sdk/api/host/http"
)

const (
	// requestTimeoutMs is for one page. Five pages stay within the 10 seconds
	// that a call has when its caller does not say otherwise.
	requestTimeoutMs = 1900
	// maxSummary is the largest answer that is decoded, in bytes.
	maxSummary = 1 << 20
	// maxTitle is the longest title that Wikipedia has, in bytes.
	maxTitle = 255

	userAgent = "pluginhost-wikipedia/1.0 (+https://github.com/pluginhost/pluginhost)"
)

// summary is what the agent needs of Wikipedia's answer.
type summary struct {
	Type          string `json:"type"`
	Description   string `json:"description"`
	Extract       string `json:"extract"`
	OriginalImage image  `json:"originalimage"`
	Thumbnail     image  `json:"thumbnail"`
	ContentURLs   struct {
		Desktop struct {
			Page string `json:"page"`
		} `json:"desktop"`
	} `json:"content_urls"`
}

type image struct {
	Source string `json:"source"`
	Width  int32  `json:"width"`
}

// fetch returns the summary of a page, nil if there is no such page. Every other
// outcome is an error: a caller must be able to tell "nothing there" from
// "could not look".
func (a agent) fetch(ctx context.Context, baseURL, title string) (*summary, error) {
	if !isTitle(title) {
		return nil, nil
	}
	response, err := a.http.Get(ctx, &http.HttpRequest{
		Url:       baseURL + "/api/rest_v1/page/summary/" + url.PathEscape(strings.ReplaceAll(title, " ", "_")),
		Headers:   map[string]string{"Accept": "application/json", "User-Agent": userAgent},
		TimeoutMs: requestTimeoutMs,
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("page %q: %w", title, err)
	case response.Error != "":
		return nil, fmt.Errorf("page %q: %s", title, response.Error)
	case response.Status == 404:
		return nil, nil
	case response.Status != 200:
		return nil, fmt.Errorf("page %q: Wikipedia answered with status %d: %s", title, response.Status, shorten(string(response.Body), 200))
	case len(response.Body) > maxSummary:
		return nil, fmt.Errorf("page %q: the answer has more than %d bytes", title, maxSummary)
	}
	page := new(summary)
	if err := json.Unmarshal(response.Body, page); err != nil {
		return nil, fmt.Errorf("page %q: the answer is not the JSON expected: %w", title, err)
	}
	return page, nil
}

// isTitle tells whether a page could have that title at all. The path of any
// other name would mean something else.
func isTitle(title string) bool {
	if title == "" || len(title) > maxTitle || strings.ContainsAny(title, "#<>[]|{}") || strings.ContainsFunc(title, unicode.IsControl) {
		return false
	}
	for _, part := range strings.Split(title, "/") {
		if part == "." || part == ".." {
			return false
		}
	}
	return true
}

// isAbout tells whether the page is an article whose short description has a
// word that begins like one of words. Without words, or without a description,
// any article is taken.
func (s *summary) isAbout(words []string) bool {
	if s.Type == "disambiguation" {
		return false
	}
	if len(words) == 0 || s.Description == "" {
		return true
	}
	found := strings.FieldsFunc(strings.ToLower(s.Description), func(r rune) bool { return !unicode.IsLetter(r) })
	return slices.ContainsFunc(found, func(word string) bool {
		return slices.ContainsFunc(words, func(start string) bool { return strings.HasPrefix(word, start) })
	})
}
