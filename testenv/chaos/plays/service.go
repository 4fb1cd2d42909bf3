//go:build unix

package main

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"
)

// service is what the plugin hands plays to. It keeps them, and is not reliable.
type service struct {
	server *httptest.Server
	ctx    context.Context

	mu     sync.Mutex
	random *rand.Rand
	good   bool               // it is reliable from now on
	taken  map[string][]int64 // the seconds of the plays that were taken, by user, in their order
	unsaid map[played]int     // plays that were taken, and the plugin was not told
	said   map[string]int     // how often it did what
	moved  chan struct{}      // closed when a play was taken
}

// played is a play of a user.
type played struct {
	user   string
	second int64
}

// What the service does, and how often of a thousand times. To the rest it says that it took the play.
var moods = []struct {
	name string
	of   int
}{
	{"failed with 500", 20}, {"said 429", 20}, {"hung", 3}, {"took it and hung up", 5}, {"took it and had the plugin crash", 5},
}

// hangFor is longer than the plugin waits for an answer.
const hangFor = 4 * time.Second

func startService(ctx context.Context, seed uint64) *service {
	s := &service{
		ctx: ctx, random: rand.New(rand.NewPCG(seed, 1)), // #nosec G404 -- to be repeated
		taken: make(map[string][]int64), unsaid: make(map[played]int), said: make(map[string]int), moved: make(chan struct{}),
	}
	s.server = httptest.NewServer(s)
	return s
}

// ServeHTTP implements http.Handler.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var play struct {
		User   string `json:"user"`
		Second int64  `json:"second"`
	}
	if err := json.NewDecoder(r.Body).Decode(&play); err != nil || r.URL.Path != "/play" {
		http.Error(w, "no play", http.StatusBadRequest)
		return
	}
	switch mood := s.mood(); mood {
	case "failed with 500":
		w.WriteHeader(http.StatusInternalServerError)
	case "said 429":
		w.WriteHeader(http.StatusTooManyRequests)
	case "hung":
		select {
		case <-time.After(hangFor):
		case <-s.ctx.Done():
		}
		panic(http.ErrAbortHandler)
	case "took it and hung up":
		s.take(played{play.User, play.Second}, true)
		panic(http.ErrAbortHandler)
	case "took it and had the plugin crash":
		s.take(played{play.User, play.Second}, true)
		_, _ = w.Write([]byte("crash"))
	default:
		s.take(played{play.User, play.Second}, false)
	}
}

// mood is what the service does next.
func (s *service) mood() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.random.IntN(1000)
	for _, m := range moods {
		if n -= m.of; n < 0 && !s.good {
			s.said[m.name]++
			return m.name
		}
	}
	return ""
}

func (s *service) take(p played, unsaid bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken[p.user] = append(s.taken[p.user], p.second)
	if unsaid {
		s.unsaid[p]++
	}
	close(s.moved)
	s.moved = make(chan struct{})
}

// recover has the service be reliable from now on.
func (s *service) recover() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.good = true
}

// count is how many different plays were taken.
func (s *service) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, seconds := range s.taken {
		n += len(unique(seconds))
	}
	return n
}

// awaitAll waits until so many different plays were taken, or none is for a while.
func (s *service) awaitAll(ctx context.Context, want int, patience time.Duration) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		s.mu.Lock()
		moved := s.moved
		s.mu.Unlock()
		if s.count() >= want {
			return
		}
		pause := time.NewTimer(time.Second) // counting takes a while
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
		select {
		case <-moved:
			timer.Reset(patience)
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// unique leaves out what is there again.
func unique(seconds []int64) []int64 {
	seen := make(map[int64]bool, len(seconds))
	var all []int64
	for _, second := range seconds {
		if !seen[second] {
			seen[second] = true
			all = append(all, second)
		}
	}
	return all
}
