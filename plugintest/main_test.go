package plugintest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/plugintest"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// example loads one of the examples.
func example(t testing.TB, name string) *plugintest.Host {
	t.Helper()
	dir := filepath.Join(guests.Root(), "examples", name)
	guests.Precompile(t, plugintest.CodeFolder(t), guests.Compile(t, dir))
	return plugintest.Load(t, dir)
}

// guest loads a plugin for tests, which is there as a module without its source.
func guest(t testing.TB, name string, permissions map[string]any, capabilities ...string) *plugintest.Host {
	t.Helper()
	guests.Precompile(t, plugintest.CodeFolder(t), guests.Path(t, name))
	folder := t.TempDir()
	testenv.AddPlugin(t, folder, name, testenv.Manifest(permissions, capabilities...), guests.Wasm(t, name))
	return plugintest.Load(t, filepath.Join(folder, name))
}

// reason is a permission that has no settings.
var reason = map[string]any{"reason": "test"}

// command tells the guests stateful and services what to do.
type command struct {
	Do         string            `json:"do"`
	ID         any               `json:"id,omitempty"` // []byte for stateful, string for services
	Key        []byte            `json:"key,omitempty"`
	Value      string            `json:"value,omitempty"`
	Times      int               `json:"times,omitempty"`
	TTL        int64             `json:"ttl,omitempty"`
	Size       int32             `json:"size,omitempty"`
	Payload    []byte            `json:"payload,omitempty"`
	Delay      int32             `json:"delay,omitempty"`
	Expression string            `json:"expression,omitempty"`
	URL        string            `json:"url,omitempty"`
	Headers    map[string]string `json:"headers,omitempty"`
	Code       int32             `json:"code,omitempty"`
	Text       string            `json:"text,omitempty"`
}

// result is what came of it.
type result struct {
	OK    bool   `json:"ok"`
	Value string `json:"value"`
	Text  string `json:"text"`
	Error string `json:"error"`
}

// do has a guest carry out a command.
func do(t testing.TB, host *plugintest.Host, c command) result {
	t.Helper()
	body, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := host.MetadataAgent().GetArtistBiography(t.Context(), &api.ArtistBiographyRequest{Name: string(body)})
	if err != nil {
		return result{Error: err.Error()}
	}
	var r result
	if err := json.Unmarshal([]byte(answer.Biography), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// stateful is a host with the guest of that name, and the journal that it keeps.
type stateful struct {
	*plugintest.Host

	mu      sync.Mutex
	events  []string
	answers map[string][]command     // by event
	refuse  map[string]string        // by event: the error that the callback is to return
	held    map[string]chan struct{} // by event: it is answered when the channel is closed
}

// newStateful loads the guest. It may connect to wss://example.com/feed and all paths of
// wss://other.example.com.
func newStateful(t testing.TB) *stateful {
	t.Helper()
	s := &stateful{answers: make(map[string][]command), refuse: make(map[string]string), held: make(map[string]chan struct{})}
	s.Host = guest(t, guests.Stateful, map[string]any{
		"http":      map[string]any{"reason": "test", "allowedUrls": map[string]any{"https://journal.example.com": []string{"*"}}},
		"config":    reason,
		"scheduler": reason,
		"websocket": map[string]any{"reason": "test", "allowedUrls": []string{"wss://example.com/feed", "wss://other.example.com"}},
	}, plugin.MetadataAgent, plugin.SchedulerCallback, plugin.WebSocketCallback, plugin.LifecycleManagement)
	s.SetConfig("journal", "https://journal.example.com/")
	s.HTTP("https://journal.example.com", s)
	return s
}

// ServeHTTP implements http.Handler: it is the journal.
func (s *stateful) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var event struct {
		Event     string
		ID        []byte
		Payload   []byte
		Recurring bool
		Code      int
		Text      string
	}
	if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if held := s.held[event.Event]; held != nil {
		<-held
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	line := fmt.Sprintf("%s %s", event.Event, event.ID)
	for _, part := range []string{string(event.Payload), event.Text} {
		if part != "" {
			line += " " + part
		}
	}
	if event.Code != 0 {
		line += fmt.Sprint(" ", event.Code)
	}
	if event.Event == "fire" {
		line += s.Now().Format(" 15:04:05")
	}
	s.events = append(s.events, line)
	if text, refused := s.refuse[event.Event]; refused {
		w.WriteHeader(http.StatusTeapot)
		_, _ = fmt.Fprint(w, text)
		return
	}
	if commands := s.answers[event.Event]; len(commands) > 0 {
		_ = json.NewEncoder(w).Encode(commands)
	}
}

// wantEvents fails unless these are the events of the journal so far.
func (s *stateful) wantEvents(t testing.TB, want ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.events, want) {
		t.Errorf("got %q, want %q", s.events, want)
	}
}

// do has the guest carry out a command that succeeds.
func (s *stateful) do(t testing.TB, c command) result {
	t.Helper()
	r := do(t, s.Host, c)
	if !r.OK {
		t.Fatalf("%s: %s", c.Do, r.Error)
	}
	return r
}
