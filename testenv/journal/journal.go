// Package journal hears what the guest stateful has to tell, and tells it what to
// do.
package journal

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/testenv"
)

// patience is how long an event is waited for.
const patience = time.Minute

// Event is a callback of the guest.
type Event struct {
	// Event is init, fire, text, binary, error or close.
	Event     string `json:"event"`
	ID        []byte `json:"id"`
	Payload   []byte `json:"payload"`
	Recurring bool   `json:"recurring"`
	Code      int    `json:"code"`
	Text      string `json:"text"`
	// At is when it was heard.
	At time.Time `json:"-"`
}

// Command has the guest do something: once, every, cancel, now, connect, text,
// binary or close.
type Command struct {
	Do         string            `json:"do"`
	ID         []byte            `json:"id,omitempty"`
	Payload    []byte            `json:"payload,omitempty"`
	Delay      int               `json:"delay,omitempty"`
	Expression string            `json:"expression,omitempty"`
	URL        string            `json:"url,omitempty"`
	Headers    map[string]string `json:"headers,omitempty"`
	Code       int               `json:"code,omitempty"`
	Text       string            `json:"text,omitempty"`
}

// Result is what came of a Command.
type Result struct {
	ID    []byte `json:"id"`
	OK    bool   `json:"ok"`
	Text  string `json:"text"`
	Error string `json:"error"`
}

// Journal is an HTTP server that keeps what it hears.
type Journal struct {
	server *httptest.Server
	answer func(Event) ([]Command, error)

	mu     sync.Mutex
	events []Event
	heard  chan struct{} // closed at the next event
}

// Start begins a journal, which ends with the test. answer, where there is one, says
// what the guest is to do in a callback, or the error it is to return; the callback
// lasts until it returns.
func Start(t testing.TB, answer func(Event) ([]Command, error)) *Journal {
	t.Helper()
	j := &Journal{answer: answer, heard: make(chan struct{})}
	j.server = httptest.NewServer(j)
	t.Cleanup(j.server.Close)
	return j
}

// URL is where it listens.
func (j *Journal) URL() string { return j.server.URL }

// ServeHTTP implements http.Handler.
func (j *Journal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var event Event
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &event)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	event.At = time.Now()
	j.mu.Lock()
	j.events = append(j.events, event)
	close(j.heard)
	j.heard = make(chan struct{})
	j.mu.Unlock()
	if j.answer == nil {
		return
	}
	commands, err := j.answer(event)
	if err != nil {
		http.Error(w, err.Error(), http.StatusTeapot)
		return
	}
	if len(commands) > 0 {
		_ = json.NewEncoder(w).Encode(commands)
	}
}

// Events are those heard so far, in order.
func (j *Journal) Events() []Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.events)
}

// Of are the events of a kind heard so far.
func (j *Journal) Of(kind string) []Event {
	return slices.DeleteFunc(j.Events(), func(e Event) bool { return e.Event != kind })
}

// Await waits until what was heard is enough, and returns it.
func (j *Journal) Await(t testing.TB, what string, enough func([]Event) bool) []Event {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		j.mu.Lock()
		events, heard := slices.Clone(j.events), j.heard
		j.mu.Unlock()
		if enough(events) {
			return events
		}
		select {
		case <-heard:
		case <-timeout.C:
			t.Fatalf("not heard: %s; heard were %+v", what, events)
		}
	}
}

// AwaitCount waits for so many events of a kind, and returns those.
func (j *Journal) AwaitCount(t testing.TB, kind string, count int) []Event {
	t.Helper()
	j.Await(t, kind, func(events []Event) bool {
		return len(slices.DeleteFunc(events, func(e Event) bool { return e.Event != kind })) >= count
	})
	return j.Of(kind)
}

// Manifest is that of the guest.
func Manifest() []byte {
	reason := map[string]any{"reason": "test"}
	return testenv.Manifest(map[string]any{
		"config":    reason,
		"scheduler": reason,
		"http":      map[string]any{"reason": "test", "allowedUrls": map[string]any{"http://127.0.0.1:*": []string{"POST"}}, "allowLocalNetwork": true},
		"websocket": map[string]any{"reason": "test", "allowedUrls": []string{"ws://127.0.0.1:*"}, "allowLocalNetwork": true},
	}, plugin.MetadataAgent, "SchedulerCallback", "WebSocketCallback", "LifecycleManagement")
}
