// Package playlog is the service that the guest scrobbler hands plays to.
package playlog

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/testenv"
)

// patience is how long plays are waited for.
const patience = time.Minute

// Play is what the guest has told.
type Play struct {
	// Kind is play, playing, or authorized for the question whether it is.
	Kind        string `json:"-"`
	User        string `json:"user"`
	UserID      string `json:"user_id"`
	Track       string `json:"track"`
	Album       string `json:"album"`
	TrackNumber int32  `json:"track_number"`
	Second      int64  `json:"second"`
	// At is when it was heard.
	At time.Time `json:"-"`
}

// Answer is what the service says to a play: a status and a text. A status of 200 and the text crash has the guest crash, and
// fail has it return an error; any other text becomes the error of its response. A status of 0 is no answer.
type Answer func(Play) (status int, text string)

// Service is the service.
type Service struct {
	server *httptest.Server

	mu     sync.Mutex
	answer Answer
	plays  []Play
	heard  chan struct{} // closed at the next play
}

// Start begins a service that takes everything, and ends with the test.
func Start(t testing.TB) *Service {
	t.Helper()
	s := &Service{answer: func(Play) (int, string) { return http.StatusOK, "" }, heard: make(chan struct{})}
	s.server = httptest.NewServer(s)
	t.Cleanup(s.server.Close)
	return s
}

// Manifest is that of the guest.
func Manifest() []byte {
	reason := map[string]any{"reason": "test"}
	return testenv.Manifest(map[string]any{
		"config": reason,
		"http":   map[string]any{"reason": "test", "allowedUrls": map[string]any{"http://127.0.0.1:*": []string{"POST"}}, "allowLocalNetwork": true},
	}, plugin.Scrobbler)
}

// URL is where it listens: the entry "service" of the guest.
func (s *Service) URL() string { return s.server.URL }

// Answers has answer asked from now on.
func (s *Service) Answers(answer Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// ServeHTTP implements http.Handler.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	play := Play{Kind: r.URL.Path[1:], At: time.Now()}
	if err := json.NewDecoder(r.Body).Decode(&play); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	answer := s.answer
	s.mu.Unlock()
	status, text := answer(play)
	s.mu.Lock()
	s.plays = append(s.plays, play)
	close(s.heard)
	s.heard = make(chan struct{})
	s.mu.Unlock()
	if status == 0 {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text)
}

// Plays are those that were heard.
func (s *Service) Plays() []Play {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.plays)
}

// Await waits until what was heard is as wanted, and returns it.
func (s *Service) Await(t testing.TB, what string, is func([]Play) bool) []Play {
	t.Helper()
	deadline := time.After(patience)
	for {
		s.mu.Lock()
		plays, heard := slices.Clone(s.plays), s.heard
		s.mu.Unlock()
		if is(plays) {
			return plays
		}
		select {
		case <-heard:
		case <-deadline:
			t.Fatalf("%s: not so of %d plays: %+v", what, len(plays), plays[:min(len(plays), 20)])
		}
	}
}
