package replica_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/navidrome"
)

// serviced is a replica with the plugin services, and an account of its own by
// which it alone is called.
type serviced struct {
	*replica.Replica
	t   *testing.T
	url string
	id  string
}

// command and result are those of the plugin.
type command struct {
	Do    string `json:"do"`
	Key   []byte `json:"key,omitempty"`
	Value string `json:"value,omitempty"`
	Times int    `json:"times,omitempty"`
	TTL   int64  `json:"ttl,omitempty"`
	ID    string `json:"id,omitempty"`
	Size  int32  `json:"size,omitempty"`
	URL   string `json:"url,omitempty"`
}

type result struct {
	OK    bool   `json:"ok"`
	Value string `json:"value"`
	Error string `json:"error"`
}

// startServices runs the plugin services under an id, with these permissions of
// the Subsonic API.
func startServices(t *testing.T, natsURL, id string, subsonic map[string]any, prepare func(*setup)) serviced {
	t.Helper()
	return startLoggedServices(t, nil, natsURL, id, subsonic, prepare)
}

// startLoggedServices is startServices with the replica's log.
func startLoggedServices(t *testing.T, log io.Writer, natsURL, id string, subsonic map[string]any, prepare func(*setup)) serviced {
	t.Helper()
	permissions := map[string]any{"cache": map[string]any{"reason": "test"}, "artwork": map[string]any{"reason": "test"}}
	if subsonic != nil {
		subsonic["reason"] = "test"
	} else {
		subsonic = map[string]any{"reason": "test"}
	}
	permissions["subsonicapi"] = subsonic
	folder := t.TempDir()
	testenv.AddPlugin(t, folder, id, testenv.Manifest(permissions, plugin.MetadataAgent, plugin.Scrobbler), guests.Wasm(t, guests.Services))
	with := setup{Config: testenv.Config(t, natsURL, folder)}
	with.Plugins.Watch = false
	prepare(&with)
	s := serviced{testenv.Start(t, with.Config, log, with.options...), t, natsURL, id}
	return s
}

// ask has a plugin do something.
func ask(ctx context.Context, c *client.Client, id string, do command) (result, error) {
	var r result
	name, err := json.Marshal(do)
	if err != nil {
		return r, err
	}
	answer, err := c.MetadataAgent(id).GetArtistBiography(ctx, &api.ArtistBiographyRequest{Name: string(name)})
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal([]byte(answer.Biography), &r)
}

func (s serviced) do(do command) result {
	s.t.Helper()
	r, err := ask(s.t.Context(), client.New(testenv.Connect(s.t, s.url)), s.id, do)
	if err != nil {
		s.t.Fatalf("%+v: %v", do, err)
	}
	return r
}

func TestACachedValueOutlivesTheReplica(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	first := startServices(t, url, "p", nil, func(*setup) {})
	if r := first.do(command{Do: "set", Key: []byte("k\xff"), Value: "v"}); !r.OK {
		t.Fatal("not stored")
	}
	if err := first.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := startServices(t, url, "p", nil, func(*setup) {})
	if r := second.do(command{Do: "get", Key: []byte("k\xff")}); !r.OK || r.Value != "v" {
		t.Errorf("got %+v", r)
	}
	if r := second.do(command{Do: "getInt", Key: []byte("k\xff")}); r.OK {
		t.Error("a string is an integer")
	}
	if r := second.do(command{Do: "remove", Key: []byte("k\xff")}); !r.OK {
		t.Error("not removed")
	}
	if r := second.do(command{Do: "has", Key: []byte("k\xff")}); r.OK {
		t.Error("it is still there")
	}
}

func TestALimitOfTheCacheIsNoSuccess(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t, func(o *server.Options) { o.MaxPayload = 100_000 })
	s := startServices(t, url, "p", nil, func(c *setup) {
		c.Cache.MaxValue, c.Cache.MaxEntries, c.Cache.MaxBytes = 200_000, 3, 120_000
	})
	tests := []struct {
		what  string
		key   string
		times int
		want  bool
	}{
		{"a value that fits", "a", 50_000, true},
		{"a value over max_payload", "b", 150_000, false},
		{"a value over MaxValue", "b", 250_000, false},
		{"a second one", "b", 50_000, true},
		{"more bytes than a plugin may have", "c", 50_000, false},
		{"a third one that is short", "c", 1, true},
		{"more values than a plugin may have", "d", 1, false},
		{"another value of the first", "a", 2, true},
	}
	for _, test := range tests {
		if r := s.do(command{Do: "set", Key: []byte(test.key), Value: "v", Times: test.times}); r.OK != test.want {
			t.Errorf("%s: success is %t", test.what, r.OK)
		}
	}
}

// A cache that cannot be asked is no miss, a value that cannot be written is no
// success, and neither costs the replica its connection.
func TestTheCacheWithoutNATSAndAfterwards(t *testing.T) {
	t.Parallel()
	server := testenv.Restartable(t)
	s := startServices(t, server.URL(), "p", nil, func(*setup) {})
	if r := s.do(command{Do: "set", Key: []byte("k"), Value: "v"}); !r.OK {
		t.Fatal("not stored")
	}
	server.Stop()
	server.Start()
	conn, err := nats.Connect(server.URL(), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	caller := client.New(conn)
	eventually(t, "the value can be read again", func() bool {
		r, err := ask(t.Context(), caller, "p", command{Do: "get", Key: []byte("k")})
		if err == nil && (!r.OK || r.Value != "v") {
			t.Fatalf("got %+v", r)
		}
		return err == nil
	})
}

func TestArtworkAddressesLeadToTheImage(t *testing.T) {
	t.Parallel()
	server := navidrome.Start(t)
	natsURL := testenv.NATS(t)
	serving := func(c *setup) {
		c.Navidrome.URL, c.Navidrome.User = server.URL, "joe"
		c.Navidrome.ShareURL, c.Navidrome.ArtworkListen = "https://music.example.com/base", "127.0.0.1:0"
	}
	first := startServices(t, natsURL, "p", nil, serving)
	second := startServices(t, natsURL, "q", nil, serving)
	for _, do := range []command{{Do: "artist", ID: "ar1"}, {Do: "album", ID: "al1", Size: 100}, {Do: "track", ID: "t1", Size: 50}} {
		address := first.do(do).Value
		if !strings.HasPrefix(address, "https://music.example.com/base/artwork/") {
			t.Fatalf("the address is %q", address)
		}
		if again := second.do(do).Value; again != address {
			t.Errorf("one replica says %q, another %q", address, again)
		}
		for _, s := range []serviced{first, second} {
			status, body := fetch(t, s.ArtworkAddress(), address)
			if status != http.StatusOK || !bytes.HasPrefix(body, []byte("\x89PNG")) {
				t.Errorf("%+v: status %d with %d bytes", do, status, len(body))
			}
		}
		if status, _ := fetch(t, first.ArtworkAddress(), address+"A"); status != http.StatusBadRequest {
			t.Errorf("a tampered address: status %d", status)
		}
	}
	unknown := first.do(command{Do: "album", ID: "nothing"}).Value
	if status, _ := fetch(t, first.ArtworkAddress(), unknown); status != http.StatusNotFound {
		t.Errorf("unknown art: status %d", status)
	}
	server.Stop()
	if status, _ := fetch(t, first.ArtworkAddress(), first.do(command{Do: "album", ID: "al1", Size: 99}).Value); status != http.StatusBadGateway {
		t.Errorf("without Navidrome: status %d", status)
	}
}

func TestArtworkIsFetchedFromWhereTheConfigurationSays(t *testing.T) {
	t.Parallel()
	former, next := navidrome.Start(t), navidrome.Start(t)
	s := startServices(t, testenv.NATS(t), "p", nil, func(c *setup) {
		c.Navidrome.URL, c.Navidrome.User = former.URL, "joe"
		c.Navidrome.ShareURL, c.Navidrome.ArtworkListen = "https://music.example.com", "127.0.0.1:0"
	})
	address := s.do(command{Do: "album", ID: "al1"}).Value
	for _, c := range []struct {
		url, user string
		want      int
	}{{former.URL, "joe", http.StatusOK}, {next.URL, "bob", http.StatusOK}, {next.URL, "nobody", http.StatusBadGateway}} {
		config := s.Config()
		config.Navidrome.URL, config.Navidrome.User = c.url, c.user
		if _, err := s.Reconfigure(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		if status, _ := fetch(t, s.ArtworkAddress(), address); status != c.want {
			t.Errorf("as %s from %s: status %d, want %d", c.user, c.url, status, c.want)
		}
	}
	asked := next.Requests()
	if len(former.Requests()) != 1 || len(asked) != 2 || asked[0].User != "bob" {
		t.Errorf("the former was asked %d times, the next %+v", len(former.Requests()), asked)
	}
}

// A stranger who keeps a connection open must not keep a replica from leaving.
func TestConnectionsOfStrangersDoNotHoldUpADrain(t *testing.T) {
	t.Parallel()
	fake := navidrome.Start(t)
	s := startServices(t, testenv.NATS(t), "p", nil, func(c *setup) {
		c.Navidrome.URL, c.Navidrome.User = fake.URL, "joe"
		c.Navidrome.ShareURL, c.Navidrome.ArtworkListen = "https://music.example.com", "127.0.0.1:0"
		c.HTTP.Listen = "127.0.0.1:0"
	})
	for _, stranger := range []struct{ address, says string }{
		{s.ArtworkAddress(), "GET /artwork/"}, {s.HTTPAddress(), "GET /"}, {s.HTTPAddress(), ""},
	} {
		conn, err := net.Dial("tcp", stranger.address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, stranger.says); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}

// fetch gets what a public address leads to from a listener behind it.
func fetch(t *testing.T, listener, address string) (status int, body []byte) {
	t.Helper()
	public, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener+public.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err = io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, body
}

func TestWithoutAShareURLArtworkIsLocal(t *testing.T) {
	t.Parallel()
	s := startServices(t, testenv.NATS(t), "p", nil, func(*setup) {})
	if got := s.do(command{Do: "album", ID: "al1"}).Value; !strings.HasPrefix(got, "http://localhost/") {
		t.Errorf("got %q", got)
	}
	if s.ArtworkAddress() != "" {
		t.Errorf("it listens at %s", s.ArtworkAddress())
	}
	_, err := ask(t.Context(), client.New(testenv.Connect(t, s.url)), "p", command{Do: "album", ID: strings.Repeat("a", 10_000)})
	if !errors.Is(err, subjects.ErrPlugin) {
		t.Errorf("an endless id: got %v", err)
	}
}

func TestNavidromeOnTheBusAnswersBothServices(t *testing.T) {
	t.Parallel()
	fake := navidrome.Start(t)
	natsURL := testenv.NATS(t)
	service, err := client.ServeNavidrome(testenv.Connect(t, natsURL), client.Navidrome{
		Subsonic: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set(fake.UserHeader, client.SubsonicUser(r.Context()))
			fake.Handler().ServeHTTP(w, r)
		}),
		Artwork: func(_ context.Context, r subjects.ArtworkRequest) (string, error) {
			return "https://music.example.com/" + string(r.Kind) + "/" + r.ID, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = service.Stop(context.Background()) })
	s := startServices(t, natsURL, "p", nil, func(c *setup) {
		c.Navidrome.Subsonic, c.Navidrome.Artwork = config.SubsonicBus, config.ArtworkBus
	})
	if r := s.do(command{Do: "call", URL: "/rest/getSong?u=joe&id=t1"}); !strings.Contains(r.Value, "Sinnerman") {
		t.Errorf("got %+v", r)
	}
	if r := s.do(command{Do: "album", ID: "al1"}); r.Value != "https://music.example.com/album/al1" {
		t.Errorf("got %+v", r)
	}
}

// A Navidrome that takes requests and answers none: the plugin is told before its own time
// is over, and the operator as well.
func TestAHungNavidromeIsAnErrorOfThePluginsCall(t *testing.T) {
	t.Parallel()
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	overHTTP := func(t *testing.T, _ string) func(*setup) {
		fake := navidrome.Start(t, navidrome.WithHandler(func(http.Handler) http.Handler { return http.HandlerFunc(hang) }))
		return func(c *setup) { c.Navidrome.URL = fake.URL }
	}
	onTheBus := func(t *testing.T, natsURL string) func(*setup) {
		// Not a NavidromeService, which would itself answer in time.
		conn := testenv.Connect(t, natsURL)
		for _, subject := range []string{subjects.NavidromeSubsonic, subjects.NavidromeArtwork} {
			if _, err := conn.QueueSubscribe(subject, subjects.NavidromeGroup, func(*nats.Msg) {}); err != nil {
				t.Fatal(err)
			}
		}
		if err := conn.Flush(); err != nil {
			t.Fatal(err)
		}
		return func(c *setup) {
			c.Navidrome.Subsonic, c.Navidrome.Artwork = config.SubsonicBus, config.ArtworkBus
		}
	}
	for name, c := range map[string]struct {
		start  func(t *testing.T, natsURL string) func(*setup)
		do     command
		told   string // what the plugin, or its caller, is told
		logged string
	}{
		"over HTTP":  {overHTTP, command{Do: "call", URL: "/rest/ping?u=joe"}, "no answer of Navidrome to getUser in time", `msg="Subsonic call of plugin failed" plugin=p error="no answer of Navidrome`},
		"on the bus": {onTheBus, command{Do: "call", URL: "/rest/ping?u=joe"}, "no answer of Navidrome to getUser in time", `msg="Subsonic call of plugin failed" plugin=p error="no answer of Navidrome`},
		"artwork":    {onTheBus, command{Do: "album", ID: "al1"}, "no answer to navidrome.artwork in time", `msg="Navidrome gave a plugin no address of artwork" plugin=p kind=album id=al1 error=`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			natsURL, log := testenv.NATS(t), new(testenv.Log)
			startLoggedServices(t, log, natsURL, "p", nil, c.start(t, natsURL))
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
			defer cancel()
			r, err := ask(ctx, client.New(testenv.Connect(t, natsURL)), "p", c.do)
			told := r.Error
			if err != nil {
				told = err.Error()
			}
			if !strings.Contains(told, c.told) || errors.Is(err, subjects.ErrDeadlineExceeded) {
				t.Errorf("the plugin was told %q, want %q", told, c.told)
			}
			if !strings.Contains(log.String(), c.logged) {
				t.Errorf("want %s in the log:\n%s", c.logged, log)
			}
		})
	}
}

func TestSubsonicCallsFollowThePermission(t *testing.T) {
	t.Parallel()
	fake := navidrome.Start(t)
	natsURL := testenv.NATS(t)
	stock := func(c *setup) { c.Navidrome.URL = fake.URL }
	open := startServices(t, natsURL, "open", nil, stock)
	some := startServices(t, natsURL, "some", map[string]any{"allowedUsernames": []string{"JOE", "alice"}, "allowAdmins": true}, stock)
	none := startServices(t, natsURL, "none", nil, func(*setup) {})
	for _, test := range []struct {
		s           serviced
		url         string
		value, fail string
	}{
		{open, "/rest/getSong?u=joe&id=t1", "Sinnerman", ""},
		{open, "/rest/getSong?u=alice&id=t1", "", "calling SubsonicAPI as admin user is not allowed"},
		{open, "/rest/getSong?u=nobody&id=t1", "", "username nobody not found"},
		{some, "/rest/getSong?u=alice&id=t1", "Sinnerman", ""},
		{some, "/rest/getSong?u=bob&id=t1", "", "username bob is not allowed"},
		{none, "/rest/ping?u=joe", "", "SubsonicAPI router not available"},
	} {
		r := test.s.do(command{Do: "call", URL: test.url})
		if !strings.Contains(r.Value, test.value) || r.Error != test.fail {
			t.Errorf("%s calls %s: got %+v", test.s.id, test.url, r)
		}
	}
}

// A plugin that scrobbles through Navidrome is handed its own scrobble. It must
// be refused, however many come at once, and not wait for itself.
func TestASubsonicCallThatLeadsBackIsRefused(t *testing.T) {
	t.Parallel()
	natsURL := testenv.NATS(t)
	conn := testenv.Connect(t, natsURL)
	caller := client.New(conn, client.WithResends(0))
	var refusals sync.Map
	back := func(ctx context.Context, user string) {
		err := caller.Scrobbler("p").Scrobble(ctx, client.User{ID: "1", Name: user}, &api.TrackInfo{Id: "t1"}, time.Unix(1700000000, 0))
		refusals.Store(time.Now(), err)
	}
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T, c *setup)
	}{
		{"over HTTP, where nobody passes on who waits", func(t *testing.T, c *setup) {
			fake := navidrome.Start(t, navidrome.WithScrobble(func(user string, r *http.Request) { back(context.WithoutCancel(r.Context()), user) }))
			c.Navidrome.URL = fake.URL
		}},
		{"on the bus", func(t *testing.T, c *setup) {
			fake := navidrome.Start(t, navidrome.WithScrobble(func(user string, r *http.Request) { back(r.Context(), user) }))
			service, err := client.ServeNavidrome(conn, client.Navidrome{Subsonic: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Header.Set(fake.UserHeader, client.SubsonicUser(r.Context()))
				fake.Handler().ServeHTTP(w, r)
			})})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = service.Stop(context.Background()) })
			c.Navidrome.Subsonic = config.SubsonicBus
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			refusals.Clear()
			s := startServices(t, natsURL, "p", nil, func(c *setup) { test.prepare(t, c) })
			var group sync.WaitGroup
			for range 12 {
				group.Go(func() { back(t.Context(), "joe") })
			}
			group.Wait()
			refused := 0
			for _, err := range refusals.Range {
				if err, _ := err.(error); err != nil {
					refused++
					if errors.Is(err, subjects.ErrDeadlineExceeded) {
						t.Errorf("a call waited until its deadline: %v", err)
					}
				}
			}
			if refused == 0 {
				t.Error("nothing was refused")
			}
			if r := s.do(command{Do: "call", URL: "/rest/ping?u=joe"}); !strings.Contains(r.Value, `"ok"`) {
				t.Errorf("afterwards: %+v", r)
			}
		})
	}
}
