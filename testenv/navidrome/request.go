package navidrome

import (
	"net/http"
	"net/url"
	"strings"
)

// Request is a request as it came, whatever became of it.
type Request struct {
	// Method is the HTTP method.
	Method string
	// Path is the whole path as it was sent, with its escapes.
	Path string
	// Endpoint is the last part of the path, without ".view".
	Endpoint string
	// User is the value of the user header.
	User string
	// Query has the parameters, those of a posted form among them.
	Query url.Values
	// Header has the headers.
	Header http.Header
}

// recorder keeps each request before it is answered.
func (f *Fake) recorder(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, endpoint, _ := cutLast(r.URL.EscapedPath(), "/")
		request := Request{
			Method:   r.Method,
			Path:     r.URL.EscapedPath(),
			Endpoint: strings.TrimSuffix(endpoint, ".view"),
			User:     r.Header.Get(f.UserHeader),
			Query:    r.Form,
			Header:   r.Header.Clone(),
		}
		f.mu.Lock()
		f.requests = append(f.requests, request)
		f.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

func cutLast(text, separator string) (before, after string, found bool) {
	if i := strings.LastIndex(text, separator); i >= 0 {
		return text[:i], text[i+len(separator):], true
	}
	return text, "", false
}
