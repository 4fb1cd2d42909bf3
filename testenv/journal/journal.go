// Package journal hears what the guest stateful has to tell, and tells it what to
// do.
package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/testenv"
)

// patience is how long an event is waited for.
const patience = time.Minute

// Event is a callback of the guest.
type Event struct {
	// Event is init, fire, text, binary, error or close; told, of the command tell; or
	// done, of what came of the commands in the answer to another event.
	Event     string `json:"event"`
	ID        []byte `json:"id"`
	Payload   []byte `json:"payload"`
	Recurring bool   `json:"recurring"`
	Code      int    `json:"code"`
	Text      string `json:"text"`
	// Results are those of the commands.
	Results []Result `json:"results"`
	// Begun is when the guest began with it: At is later by what the callback waited for
	// afterwards, as a process that is paused does.
	Begun time.Time `json:"begun"`
	// At is when it was heard.
	At time.Time `json:"-"`
}

// Command has the guest do something: once, every, cancel, now, connect, text,
// binary, close, get or tell.
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

// Answer says what the guest is to do in a callback, or the error that its response
// is to have. The callback lasts until it returns.
type Answer func(Event) ([]Command, error)

// GoError is an error that a callback is to return in the place of a response.
type GoError string

// Error implements error.
func (e GoError) Error() string { return string(e) }

// Journal is an HTTP server that keeps what it hears.
type Journal struct {
	server *httptest.Server
	answer Answer

	mu      sync.Mutex
	answers map[string]Answer // by id
	events  []Event
	heard   chan struct{} // closed at the next event
}

// Start begins a journal, which ends with the test. answer, where there is one, is
// asked about events for whose id On names no other.
func Start(t testing.TB, answer Answer) *Journal {
	t.Helper()
	j := &Journal{answer: answer, answers: make(map[string]Answer), heard: make(chan struct{})}
	j.server = httptest.NewServer(j)
	t.Cleanup(j.server.Close)
	return j
}

// On has answer asked about the events with an id, from now on.
func (j *Journal) On(id string, answer Answer) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.answers[id] = answer
}

// Hold has the first event of a kind with an id last until release is called, or the
// test ends.
func (j *Journal) Hold(t testing.TB, kind, id string) (release func()) {
	t.Helper()
	var held atomic.Bool
	released := make(chan struct{})
	release = sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	j.mu.Lock()
	before := j.answers[id]
	j.mu.Unlock()
	j.On(id, func(e Event) ([]Command, error) {
		if e.Event == kind && held.CompareAndSwap(false, true) {
			<-released
		}
		if before != nil {
			return before(e)
		}
		return nil, nil
	})
	return release
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
	answer, found := j.answers[string(event.ID)]
	j.mu.Unlock()
	if !found {
		answer = j.answer
	}
	if answer == nil {
		return
	}
	commands, err := answer(event)
	if err != nil {
		status := http.StatusBadGateway
		if goError := GoError(""); errors.As(err, &goError) {
			status = http.StatusTeapot
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, err.Error())
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

// About are the events of a kind with an id heard so far.
func (j *Journal) About(kind, id string) []Event {
	return slices.DeleteFunc(j.Of(kind), func(e Event) bool { return string(e.ID) != id })
}

// AwaitCount waits for so many events of a kind, and returns those.
func (j *Journal) AwaitCount(t testing.TB, kind string, count int) []Event {
	t.Helper()
	return j.await(t, kind, count, func() []Event { return j.Of(kind) })
}

// AwaitAbout waits for so many events of a kind with an id, and returns those.
func (j *Journal) AwaitAbout(t testing.TB, kind, id string, count int) []Event {
	t.Helper()
	return j.await(t, fmt.Sprintf("%s of %.50q", kind, id), count, func() []Event { return j.About(kind, id) })
}

// await waits until there are so many of some events.
func (j *Journal) await(t testing.TB, what string, count int, of func() []Event) []Event {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		j.mu.Lock()
		heard := j.heard
		j.mu.Unlock()
		if events := of(); len(events) >= count {
			return events
		}
		select {
		case <-heard:
		case <-timeout.C:
			t.Fatalf("%d times %s is not heard; heard were %.10000s", count, what, fmt.Sprint(j.Events()))
		}
	}
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
