package artwork_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/hostsvc/artwork"
	"github.com/pluginhost/pluginhost/hostsvc/navidrome"
)

// gate is a Source whose fetches wait for the test.
type gate struct {
	started chan context.Context // gets each fetch
	release chan struct{}        // lets one go on
	running atomic.Int32
	most    atomic.Int32
}

func newGate() *gate {
	return &gate{started: make(chan context.Context, 100), release: make(chan struct{})}
}

func (g *gate) CoverArt(ctx context.Context, _ string, _ int) (navidrome.Image, error) {
	now := g.running.Add(1)
	defer g.running.Add(-1)
	for most := g.most.Load(); now > most && !g.most.CompareAndSwap(most, now); most = g.most.Load() {
	}
	g.started <- ctx
	select {
	case <-g.release:
		return navidrome.Image{ContentType: "image/png", Body: []byte("image")}, nil
	case <-ctx.Done():
		return navidrome.Image{}, ctx.Err()
	}
}

// patient is a configuration whose fetches and waits end by the test alone.
func patient(c *artwork.ProxyConfig) { c.Wait, c.Timeout = time.Hour, time.Hour }

// ask asks for paths at the same time and returns the statuses once all have answered.
func ask(ctx context.Context, p public, paths ...string) func() []int {
	statuses := make([]int, len(paths))
	var asked sync.WaitGroup
	for i, path := range paths {
		asked.Go(func() {
			if got, err := p.ask(ctx, http.MethodGet, path); err == nil {
				statuses[i] = got.StatusCode
			}
		})
	}
	return func() []int { asked.Wait(); return statuses }
}

func TestTheSameImageIsFetchedOnceForAllWhoWait(t *testing.T) {
	t.Parallel()
	g := newGate()
	p := serve(t, g, patient)
	token := p.token("al1", 0)
	answers := ask(t.Context(), p, "/artwork/"+token, "/x/artwork/"+token, "/artwork/"+token)
	await(t, "the requests do not share a fetch", func() bool { return p.proxy.Waiting(token) == 3 })
	g.release <- struct{}{}
	for _, status := range answers() {
		if status != http.StatusOK {
			t.Errorf("got %d", status)
		}
	}
	if got := len(g.started); got != 1 {
		t.Errorf("%d fetches", got)
	}
	// What is not at the same time is fetched anew.
	answers = ask(t.Context(), p, "/artwork/"+token)
	g.release <- struct{}{}
	if got := answers(); got[0] != http.StatusOK || len(g.started) != 2 {
		t.Errorf("later: got %v after %d fetches", got, len(g.started))
	}
}

func TestWhoLeavesDoesNotEndTheFetchForOthers(t *testing.T) {
	t.Parallel()
	g := newGate()
	p := serve(t, g, patient)
	token := p.token("al1", 0)
	leaving, leave := context.WithCancel(t.Context())
	defer leave()
	left := ask(leaving, p, "/artwork/"+token)
	fetch := <-g.started
	answers := ask(t.Context(), p, "/artwork/"+token)
	await(t, "the requests do not share a fetch", func() bool { return p.proxy.Waiting(token) == 2 })
	leave()
	left()
	await(t, "the first request stays", func() bool { return p.proxy.Waiting(token) == 1 })
	if err := fetch.Err(); err != nil {
		t.Fatalf("the fetch: %v", err)
	}
	g.release <- struct{}{}
	if got := answers(); got[0] != http.StatusOK {
		t.Errorf("got %v", got)
	}
}

func TestAFetchEndsWhenNobodyWaits(t *testing.T) {
	t.Parallel()
	g := newGate()
	p := serve(t, g, patient)
	token := p.token("al1", 0)
	leaving, leave := context.WithCancel(t.Context())
	defer leave()
	left := ask(leaving, p, "/artwork/"+token, "/artwork/"+token)
	fetch := <-g.started
	await(t, "the requests do not share a fetch", func() bool { return p.proxy.Waiting(token) == 2 })
	leave()
	left()
	select {
	case <-fetch.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("the fetch goes on")
	}
	answers := ask(t.Context(), p, "/artwork/"+token)
	g.release <- struct{}{}
	if got := answers(); got[0] != http.StatusOK {
		t.Errorf("who came then: got %v", got)
	}
}

func TestWhoComesAfterAFetchWasGivenUpGetsAnother(t *testing.T) {
	t.Parallel()
	cancelled, end := make(chan struct{}), make(chan struct{})
	var fetches atomic.Int32
	p := serve(t, sourceFunc(func(ctx context.Context, _ string, _ int) (navidrome.Image, error) {
		if fetches.Add(1) == 1 { // is slow to give up
			<-ctx.Done()
			close(cancelled)
			<-end
			return navidrome.Image{}, ctx.Err()
		}
		return navidrome.Image{ContentType: "image/png", Body: []byte("image")}, nil
	}), patient)
	path := "/artwork/" + p.token("al1", 0)
	leaving, leave := context.WithCancel(t.Context())
	left := ask(leaving, p, path)
	await(t, "no fetch", func() bool { return fetches.Load() == 1 })
	leave()
	left()
	<-cancelled
	waiting, giveUp := context.WithTimeout(t.Context(), 10*time.Second)
	defer giveUp()
	got, err := p.ask(waiting, http.MethodGet, path)
	close(end)
	if err != nil || got.StatusCode != http.StatusOK {
		t.Errorf("got %+v, error %v", got, err)
	}
}

func TestAFetchMeetsItsTimeout(t *testing.T) {
	t.Parallel()
	p := serve(t, sourceFunc(func(ctx context.Context, _ string, _ int) (navidrome.Image, error) {
		<-ctx.Done()
		return navidrome.Image{}, ctx.Err()
	}), func(c *artwork.ProxyConfig) { c.Timeout = 10 * time.Millisecond })
	if got := p.get(t, "/artwork/"+p.token("al1", 0)); got.StatusCode != http.StatusBadGateway {
		t.Errorf("got %d", got.StatusCode)
	}
}

func TestFetchesAreBounded(t *testing.T) {
	t.Parallel()
	g := newGate()
	p := serve(t, g, patient, func(c *artwork.ProxyConfig) { c.MaxFetches = 2 })
	var paths, tokens []string
	for size := range 6 {
		tokens = append(tokens, p.token("al1", size))
		paths = append(paths, "/artwork/"+tokens[size])
	}
	answers := ask(t.Context(), p, paths...)
	for _, token := range tokens {
		await(t, "a request does not arrive", func() bool { return p.proxy.Waiting(token) == 1 })
	}
	for range paths {
		g.release <- struct{}{}
	}
	for i, status := range answers() {
		if status != http.StatusOK {
			t.Errorf("request %d: got %d", i, status)
		}
	}
	if got := g.most.Load(); got != 2 {
		t.Errorf("%d fetches at the same time, want 2", got)
	}
}

func TestWhoWaitsTooLongForAFetchIsToldToComeBack(t *testing.T) {
	t.Parallel()
	g := newGate()
	p := serve(t, g, func(c *artwork.ProxyConfig) { c.MaxFetches, c.Wait, c.Timeout = 1, time.Millisecond, time.Hour })
	answers := ask(t.Context(), p, "/artwork/"+p.token("al1", 1))
	<-g.started
	got := p.get(t, "/artwork/"+p.token("al1", 2))
	if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") != "5" || got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %d with %v", got.StatusCode, got.Header)
	}
	g.release <- struct{}{}
	if got := answers(); got[0] != http.StatusOK {
		t.Errorf("the first: got %v", got)
	}
}

func TestBytesOnTheirWayAreBounded(t *testing.T) {
	t.Parallel()
	const size = 32 << 20 // no socket takes so much at once
	image := navidrome.Image{ContentType: "image/png", Body: []byte(strings.Repeat("x", size))}
	p := serve(t, sourceFunc(func(context.Context, string, int) (navidrome.Image, error) { return image, nil }),
		func(c *artwork.ProxyConfig) { c.MaxSending = size })
	path := "/artwork/" + p.token("al1", 0)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	slow, err := p.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.get(t, path); got.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("beside a slow reader: got %d", got.StatusCode)
	}
	_ = slow.Body.Close()
	await(t, "the bytes of a client that left are still counted", func() bool { return p.get(t, path).StatusCode == http.StatusOK })
}

func TestAPanicOfTheSourceFailsThoseWhoWaitToo(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	p := serve(t, sourceFunc(func(context.Context, string, int) (navidrome.Image, error) {
		<-release
		panic(http.ErrAbortHandler)
	}), patient)
	token := p.token("al1", 0)
	answers := ask(t.Context(), p, "/artwork/"+token, "/artwork/"+token)
	await(t, "the requests do not share a fetch", func() bool { return p.proxy.Waiting(token) == 2 })
	close(release)
	if got := answers(); got[0]+got[1] != http.StatusBadGateway {
		t.Errorf("got %v, want one broken off and one 502", got)
	}
}
