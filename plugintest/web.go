package plugintest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Request is a request that the plugin has made with the service http, and that its
// permissions allow.
type Request struct {
	// Method is the HTTP method, such as GET.
	Method string
	// URL is the whole address, as it was sent.
	URL string
	// Header are the headers, as they were sent.
	Header http.Header
	// Body is what was sent; empty is nothing.
	Body []byte
}

// HTTP has a handler answer the plugin's requests to an origin, such as
// https://api.example.com or http://127.0.0.1:8080, in the place of another. The host of the
// plugin checks them as ever: the manifest must allow them. Requests go over no network, and
// over no TLS: the handler sees no certificates, and no name is looked up, so that an
// address of the local network is known by its digits and as localhost only. To an origin
// without a handler requests fail.
//
// A handler that panics with http.ErrAbortHandler breaks the connection. Handlers must end
// with the contexts of their requests.
func (h *Host) HTTP(origin string, handler http.Handler) {
	h.t.Helper()
	address, err := url.Parse(origin)
	if err != nil || address.Scheme != "http" && address.Scheme != "https" || address.Host == "" || strings.Trim(address.Path, "/") != "" || address.RawQuery != "" {
		h.fail("%q is no origin: want one such as https://api.example.com", origin)
	}
	h.web.handle(originOf(address), handler)
}

// Requests returns the requests that the plugin has made with the service http so far, those
// to origins without a handler and those of redirects included; the first 10,000 are kept.
func (h *Host) Requests() []Request {
	h.web.mu.Lock()
	defer h.web.mu.Unlock()
	return slices.Clone(h.web.requests)
}

// originOf is the origin of an address, always with the port.
func originOf(address *url.URL) string {
	port := address.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "ws": "80", "wss": "443"}[address.Scheme]
	}
	return address.Scheme + "://" + net.JoinHostPort(strings.ToLower(address.Hostname()), port)
}

// web has the web servers that the plugin can reach.
type web struct {
	log *testLog

	mu       sync.Mutex
	sites    map[string]*site // by origin
	requests []Request
}

func (w *web) handle(origin string, handler http.Handler) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if site, found := w.sites[origin]; found {
		site.handle(handler)
		return
	}
	w.sites[origin] = newSite(handler, w.log)
}

// RoundTrip implements http.RoundTripper.
func (w *web) RoundTrip(request *http.Request) (*http.Response, error) {
	var body []byte
	if request.Body != nil {
		var err error
		body, err = io.ReadAll(request.Body) // the service bounds it
		if err := errors.Join(err, request.Body.Close()); err != nil {
			return nil, err
		}
	}
	site := w.visit(request, body)
	if site == nil {
		origin := request.URL.Scheme + "://" + request.URL.Host
		w.log.printf("plugintest: the plugin asks for %s, which has no handler", request.URL)
		return nil, fmt.Errorf("the test has no handler for %s: call Host.HTTP(%q, …)", origin, origin)
	}
	sent := request.Clone(request.Context())
	if request.Body != nil {
		sent.Body = io.NopCloser(bytes.NewReader(body))
	}
	return site.RoundTrip(sent)
}

// visit notes a request and returns the site that it is for, or nil.
func (w *web) visit(request *http.Request, body []byte) *site {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.requests) < maxKept {
		w.requests = append(w.requests, Request{request.Method, request.URL.String(), request.Header.Clone(), body})
	}
	return w.sites[originOf(request.URL)]
}

// close waits for requests in flight, or for ctx.
func (w *web) close(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for _, site := range w.sites {
		errs = append(errs, site.close(ctx))
	}
	return errors.Join(errs...)
}
