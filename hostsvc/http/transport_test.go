package http_test

import (
	"io"
	nethttp "net/http"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/hostsvc/http"
	api "github.com/pluginhost/pluginhost/sdk/api/host/http"
)

// roundTripper is a web server without a network.
type roundTripper func(*nethttp.Request) (*nethttp.Response, error)

func (f roundTripper) RoundTrip(request *nethttp.Request) (*nethttp.Response, error) {
	return f(request)
}

func TestATransportTakesThePlaceOfTheNetwork(t *testing.T) {
	t.Parallel()
	var sent []string
	service := newService(t, http.Config{
		AllowedURLs: map[string][]string{"https://service.invalid/v1/*": {"GET"}},
		Transport: roundTripper(func(request *nethttp.Request) (*nethttp.Response, error) {
			sent = append(sent, request.URL.String())
			return &nethttp.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("body")), Request: request}, nil
		}),
	})
	got, err := service.Get(t.Context(), &api.HttpRequest{Url: "https://service.invalid/v1/x"})
	if err != nil || got.Error != "" || got.Status != 200 || string(got.Body) != "body" {
		t.Errorf("got %v, %v", got, err)
	}
	for _, url := range []string{"https://service.invalid/v2", "https://elsewhere.invalid/v1/x", "https://127.0.0.1/v1/x"} {
		if got, err := service.Get(t.Context(), &api.HttpRequest{Url: url}); err != nil || !strings.HasPrefix(got.Error, blocked) {
			t.Errorf("%s: got %v, %v", url, got, err)
		}
	}
	if len(sent) != 1 || sent[0] != "https://service.invalid/v1/x" {
		t.Errorf("sent was %q", sent)
	}
}
