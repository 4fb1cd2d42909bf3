package subsonicapi_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/hostsvc/navidrome"
	"github.com/pluginhost/pluginhost/hostsvc/subsonicapi"
	api "github.com/pluginhost/pluginhost/sdk/api/host/subsonicapi"
	plugincall "github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	fake "github.com/pluginhost/pluginhost/testenv/navidrome"
)

// overBus asks a Navidrome on the bus, as a replica does.
type overBus struct{ bus *bus.Bus }

func (o overBus) Subsonic(ctx context.Context, request navidrome.SubsonicRequest) ([]byte, error) {
	return o.bus.RequestSubsonic(ctx, subjects.SubsonicRequest{
		Plugin: request.Plugin, User: request.User, Endpoint: request.Endpoint, Query: navidrome.EncodeQuery(request.Query),
	}, request.Via)
}

// providers are the ways to a Navidrome, each started by its function.
var providers = map[string]func(t *testing.T, server *fake.Fake) navidrome.Subsonic{
	"http": func(t *testing.T, server *fake.Fake) navidrome.Subsonic {
		address, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		provider := navidrome.New(navidrome.Config{URL: address, FormatVia: subjects.FormatVia})
		t.Cleanup(provider.Close)
		return provider
	},
	"bus": func(t *testing.T, server *fake.Fake) navidrome.Subsonic {
		address := testenv.NATS(t)
		service, err := client.ServeNavidrome(testenv.Connect(t, address), client.Navidrome{
			Subsonic: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Header.Set(server.UserHeader, client.SubsonicUser(r.Context()))
				server.Handler().ServeHTTP(w, r)
			}),
			Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := service.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
		b, err := bus.Open(t.Context(), bus.Config{URL: address, Name: "r1", Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		return overBus{b}
	},
}

// withEachProvider runs a test with each way to a Navidrome of its own.
func withEachProvider(t *testing.T, test func(t *testing.T, provider navidrome.Subsonic, server *fake.Fake), options ...fake.Option) {
	for name, start := range providers {
		t.Run(name, func(t *testing.T) {
			server := fake.Start(t, options...)
			test(t, start(t, server), server)
		})
	}
}

func newService(config subsonicapi.Config) *subsonicapi.Service {
	if config.PluginID == "" {
		config.PluginID = "test-plugin"
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.MaxCalls == 0 {
		config.MaxCalls = 9
	}
	return subsonicapi.New(config)
}

func call(t testing.TB, service *subsonicapi.Service, rawURL string) *api.CallResponse {
	t.Helper()
	response, err := service.Call(t.Context(), &api.CallRequest{Url: rawURL})
	if err != nil {
		t.Fatalf("%s returned a Go error, which would trap the guest: %v", rawURL, err)
	}
	return response
}

func TestRulesOfTheSubsonicAPI(t *testing.T) {
	type config = subsonicapi.Config
	rows := []struct {
		name   string
		config config
		url    string
		json   string // part of the answer
		err    string // all of the error
	}{
		{name: "a plain user", url: "/ping?u=joe", json: `"status":"ok"`},
		{name: "a path with a prefix", url: "/music/rest/ping?u=joe", json: `"status":"ok"`},
		{name: "the suffix .view", url: "/rest/ping.view?u=joe", json: `"status":"ok"`},
		{name: "scheme, host and login are ignored", url: "https://me:secret@elsewhere.example:99/rest/ping?u=joe", json: `"status":"ok"`},
		{name: "a relative path", url: "ping?u=joe", json: `"status":"ok"`},
		{name: "a slash at the end", url: "/rest/ping/?u=joe", json: `"status":"ok"`},
		{name: "parameters are kept", url: "/rest/getSong?u=joe&id=t1", json: "Sinnerman"},
		{name: "format, version and client are ours", url: "/rest/ping?u=joe&f=xml&v=&c=", json: `"status":"ok"`},
		{name: "a password is of no account", url: "/rest/ping?u=joe&p=wrong&t=x&s=y&jwt=z&apiKey=k", json: `"status":"ok"`},
		{name: "a failure of the Subsonic API is an answer", url: "/rest/getSong?u=joe&id=none", json: `"code":70`},
		{name: "an endpoint that does not exist", url: "/rest/nothing?u=joe", json: "404 page not found"},
		{name: "an endpoint that is not implemented", url: "/rest/jukeboxControl?u=joe", json: "not implemented yet"},
		{name: "an endpoint that is gone", url: "/rest/search?u=joe", json: "never to be implemented"},
		{name: "an image", url: "/rest/getCoverArt?u=joe&id=al-al1", json: "\x89PNG\r\n\x1a\n"},

		{name: "a URL that does not parse", url: "://invalid-url", err: `invalid URL format: parse "://invalid-url": missing protocol scheme`},
		{name: "no user", url: "/rest/ping", err: "missing required parameter 'u' (username)"},
		{name: "an empty user", url: "/rest/ping?u=", err: "missing required parameter 'u' (username)"},

		{name: "a user on the list", config: config{AllowedUsernames: []string{"bob", "joe"}}, url: "/rest/ping?u=joe", json: `"status":"ok"`},
		{name: "the list in another case", config: config{AllowedUsernames: []string{"JOE"}}, url: "/rest/ping?u=jOe", json: `"status":"ok"`},
		{name: "a user not on the list", config: config{AllowedUsernames: []string{"bob"}}, url: "/rest/ping?u=Joe", err: "username Joe is not allowed"},
		{name: "the list comes before the role", config: config{AllowedUsernames: []string{"bob"}}, url: "/rest/ping?u=alice", err: "username alice is not allowed"},
		{name: "the list comes before whether there is such a user", config: config{AllowedUsernames: []string{"bob"}}, url: "/rest/ping?u=nobody", err: "username nobody is not allowed"},
		{name: "the list holds for admins that are allowed", config: config{AllowedUsernames: []string{"bob"}, AllowAdmins: true}, url: "/rest/ping?u=alice", err: "username alice is not allowed"},
		{name: "an admin", url: "/rest/ping?u=alice", err: "calling SubsonicAPI as admin user is not allowed"},
		{name: "an admin in another case", url: "/rest/ping?u=ALICE", err: "calling SubsonicAPI as admin user is not allowed"},
		{name: "an admin on the list", config: config{AllowedUsernames: []string{"alice"}}, url: "/rest/ping?u=alice", err: "calling SubsonicAPI as admin user is not allowed"},
		{name: "an admin where admins are allowed", config: config{AllowAdmins: true}, url: "/rest/ping?u=alice", json: `"status":"ok"`},
		{name: "an admin on the list where admins are allowed", config: config{AllowedUsernames: []string{"Alice"}, AllowAdmins: true}, url: "/rest/ping?u=alice", json: `"status":"ok"`},
		{name: "a user that is not there", url: "/rest/ping?u=Nobody", err: "username Nobody not found"},
		{name: "a user on the list that is not there", config: config{AllowedUsernames: []string{"nobody"}}, url: "/rest/ping?u=nobody", err: "username nobody not found"},
		{name: "a user that is not there where admins are allowed", config: config{AllowAdmins: true}, url: "/rest/ping?u=nobody", json: `"code":40`},
		{name: "the first of two users", url: "/rest/ping?u=joe&u=alice", json: `"status":"ok"`},
		{name: "the first of two users is an admin", url: "/rest/ping?u=alice&u=joe", err: "calling SubsonicAPI as admin user is not allowed"},
		{name: "asking about somebody else", url: "/rest/getUser?u=joe&username=alice", json: `"code":50`},

		{name: "the role comes before the endpoint", url: "/?u=alice", err: "calling SubsonicAPI as admin user is not allowed"},
		{name: "no path", url: "?u=joe", err: "the path of the URL names no endpoint: want one such as /rest/getAlbumList2"},
		{name: "a root", url: "https://h/?u=joe", err: "the path of the URL names no endpoint: want one such as /rest/getAlbumList2"},
		{name: "a dot", url: "/rest/.?u=joe", err: "the path of the URL names no endpoint: want one such as /rest/getAlbumList2"},
		{name: "two dots", url: "/rest/..?u=joe", err: "the path of the URL names no endpoint: want one such as /rest/getAlbumList2"},
		{name: "two dots in disguise", url: "/rest/%2e%2E?u=joe", err: "the path of the URL names no endpoint: want one such as /rest/getAlbumList2"},
		{name: "a slash in disguise ends a segment", url: "/rest/x%2Fping?u=joe", json: `"status":"ok"`},
		{name: "an endpoint that could be more than a path", url: "/rest/ping%3Fu=alice%23?u=joe", json: "404 page not found"},
		{name: "a long endpoint", url: "/rest/" + strings.Repeat("x", 101) + "?u=joe", err: "the endpoint has 101 bytes, the limit is 100"},
		{name: "an endpoint with a line break", url: "/rest/ping%0d%0a?u=joe", err: "the endpoint is not valid UTF-8 or has control characters: want one such as getAlbumList2"},

		{name: "a user with a line break", url: "/rest/ping?u=joe%0d%0aX-Other:+alice", err: "parameter 'u' (username) has control characters"},
		{name: "a user with a zero byte", url: "/rest/ping?u=joe%00", err: "parameter 'u' (username) has control characters"},
		{name: "a user that is not UTF-8", url: "/rest/ping?u=joe%ff", err: "parameter 'u' (username) is not valid UTF-8"},
		{name: "a long user", url: "/rest/ping?u=" + strings.Repeat("x", 256), err: "parameter 'u' (username) has 256 bytes, the limit is 255"},
		{name: "a user with a space around", url: "/rest/ping?u=+alice", err: "parameter 'u' (username) begins or ends with a space"},
		{name: "a user with a space around where admins are allowed", config: config{AllowAdmins: true}, url: "/rest/ping?u=alice%09", err: "parameter 'u' (username) has control characters"},
		{name: "a long URL", url: "/rest/ping?u=joe&x=" + strings.Repeat("x", subsonicapi.MaxURL), err: "invalid URL format: the URL has 1048595 bytes, the limit is 1048576"},
		{name: "many parameters", url: "/rest/ping?u=joe" + strings.Repeat("&x=", 9_996), json: `"status":"ok"`},
		{name: "too many parameters", url: "/rest/ping?u=joe" + strings.Repeat("&x=", 9_997), err: "invalid URL format: the query has 9998 parameters, the limit is 9997"},
	}
	withEachProvider(t, func(t *testing.T, provider navidrome.Subsonic, _ *fake.Fake) {
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				row.config.Navidrome = provider
				got := call(t, newService(row.config), row.url)
				if got.Error != row.err {
					t.Errorf("error %q, want %q", got.Error, row.err)
				}
				if row.json == "" && got.Json != "" || !strings.Contains(got.Json, row.json) {
					t.Errorf("answer %q, want %q in it", got.Json, row.json)
				}
			})
		}
	})
}

func TestNavidromeSeesTheUserAndNoCredentials(t *testing.T) {
	withEachProvider(t, func(t *testing.T, provider navidrome.Subsonic, server *fake.Fake) {
		service := newService(subsonicapi.Config{Navidrome: provider, AllowAdmins: true})
		call(t, service, "https://x:y@h/prefix/rest/ping.view?u=alice&u=joe&p=a&t=b&s=c&jwt=d&apiKey=e&c=f&c=g&f=xml&v=0&a=1&a=2")
		requests := server.Requests()
		if len(requests) != 1 {
			t.Fatalf("Navidrome saw %d requests, want 1: where admins are allowed nothing is looked up", len(requests))
		}
		got := requests[0]
		if want := "a=1&a=2&c=test-plugin&f=json&u=alice&v=1.16.1"; got.Query.Encode() != want {
			t.Errorf("query %s, want %s", got.Query.Encode(), want)
		}
		if got.User != "alice" || got.Method != http.MethodGet || got.Path != "/rest/ping.view" {
			t.Errorf("got %s %s as %q", got.Method, got.Path, got.User)
		}
		if got.Header.Get("Authorization") != "" {
			t.Error("the URL's login was sent")
		}
	})
}

func TestASpaceInAQueryIsSentAsOne(t *testing.T) {
	seen := make(chan string, 1)
	looking := fake.WithHandler(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen <- r.URL.RawQuery
			next.ServeHTTP(w, r)
		})
	})
	withEachProvider(t, func(t *testing.T, provider navidrome.Subsonic, server *fake.Fake) {
		service := newService(subsonicapi.Config{Navidrome: provider, AllowAdmins: true})
		for asked, sent := range map[string]string{"query=Nina Simone": "Nina Simone", "query=Nina+Simone": "Nina Simone", "query=Nina%20Simone": "Nina Simone", "query=1%2B1": "1+1"} {
			got := call(t, service, "/rest/ping?"+asked+"&u=joe")
			encoded := strings.NewReplacer(" ", "%20", "+", "%2B").Replace(sent)
			if raw := <-seen; got.Error != "" || !strings.Contains(raw, "&query="+encoded+"&") {
				t.Errorf("%s: sent %s, error %q", asked, raw, got.Error)
			}
			if requests := server.Requests(); requests[len(requests)-1].Query.Get("query") != sent {
				t.Errorf("%s: Navidrome saw %q", asked, requests[len(requests)-1].Query.Get("query"))
			}
		}
	}, looking)
}

// A playlist of fifty Japanese titles has 11 KB, more than a proxy takes in an address.
func TestLongRequestsArriveWhole(t *testing.T) {
	query := url.Values{"u": {"joe"}, "name": {"夜に聴く"}}
	for i := range 50 {
		query.Add("songName", fmt.Sprintf("銀河鉄道の夜に聴きたい静かな子守唄と星の記憶 第%d番", i))
	}
	if size := len(query.Encode()); size < 11_000 {
		t.Fatalf("the query has %d bytes only", size)
	}
	withEachProvider(t, func(t *testing.T, provider navidrome.Subsonic, server *fake.Fake) {
		got := call(t, newService(subsonicapi.Config{Navidrome: provider, AllowAdmins: true}), "/rest/ping?"+query.Encode())
		if got.Error != "" || !strings.Contains(got.Json, `"status":"ok"`) {
			t.Errorf("answer %q, error %q", got.Json, got.Error)
		}
		for _, request := range server.Requests() {
			if !slices.Equal(request.Query["songName"], query["songName"]) || request.User != "joe" {
				t.Errorf("Navidrome saw %d titles of %q", len(request.Query["songName"]), request.User)
			}
		}
	})
}

func TestTheRoleIsLookedUpAsTheUser(t *testing.T) {
	withEachProvider(t, func(t *testing.T, provider navidrome.Subsonic, server *fake.Fake) {
		service := newService(subsonicapi.Config{Navidrome: provider})
		call(t, service, "/rest/ping?u=Joe&username=alice")
		call(t, service, "/rest/ping?u=jOE")
		var endpoints []string
		for _, r := range server.Requests() {
			endpoints = append(endpoints, r.Endpoint)
		}
		if got := strings.Join(endpoints, " "); got != "getUser ping ping" {
			t.Fatalf("Navidrome was asked for %s, want one look-up for both calls", got)
		}
		lookup := server.Requests()[0]
		if want := "c=test-plugin&f=json&u=Joe&username=Joe&v=1.16.1"; lookup.Query.Encode() != want || lookup.User != "Joe" {
			t.Errorf("looked up as %q with %s, want %s", lookup.User, lookup.Query.Encode(), want)
		}
	})
}

func TestBinaryAnswersArriveAsTheyAre(t *testing.T) {
	body := make([]byte, 256)
	for i := range body {
		body[i] = byte(i)
	}
	broken := fake.WithHandler(func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			_, _ = w.Write(body)
		})
	})
	withEachProvider(t, func(t *testing.T, provider navidrome.Subsonic, _ *fake.Fake) {
		got := call(t, newService(subsonicapi.Config{Navidrome: provider, AllowAdmins: true}), "/rest/stream?u=joe")
		if got.Json != string(body) || got.Error != "" {
			t.Errorf("got %q, error %q", got.Json, got.Error)
		}
	}, broken)
}

func TestAnswersOverTheLimitAreRefused(t *testing.T) {
	long := fake.WithHandler(func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 4<<10)) })
	})
	withEachProvider(t, func(t *testing.T, provider navidrome.Subsonic, _ *fake.Fake) {
		for limit, want := range map[int64]string{4 << 10: "", 4<<10 - 1: "the answer to stream has 4096 bytes, the limit is 4095"} {
			got := call(t, newService(subsonicapi.Config{Navidrome: provider, AllowAdmins: true, MaxResponse: limit}), "/rest/stream?u=joe")
			if got.Error != want || (len(got.Json) == 0) != (want != "") {
				t.Errorf("limit %d: %d bytes, error %q, want %q", limit, len(got.Json), got.Error, want)
			}
		}
	}, long)
}

func TestAnswersThatDoNotFitTheProviderAreRefused(t *testing.T) {
	endless := fake.WithHandler(func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		})
	})
	withEachProvider(t, func(t *testing.T, provider navidrome.Subsonic, _ *fake.Fake) {
		got := call(t, newService(subsonicapi.Config{Navidrome: provider, AllowAdmins: true}), "/rest/stream?u=joe")
		if !strings.Contains(got.Error, "bytes") || got.Json != "" {
			t.Errorf("%d bytes, error %q, want the limit in it", len(got.Json), got.Error)
		}
	}, endless)
}

func TestANavidromeThatHangsMeetsTheTimeout(t *testing.T) {
	hanging := fake.WithHandler(func(http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	})
	withEachProvider(t, func(t *testing.T, provider navidrome.Subsonic, _ *fake.Fake) {
		for endpoint, config := range map[string]subsonicapi.Config{"ping": {AllowAdmins: true}, "getUser": {}} {
			config.Navidrome, config.Timeout = provider, 100*time.Millisecond
			got := call(t, newService(config), "/rest/ping?u=joe")
			if want := "no answer of Navidrome to " + endpoint + " in time"; !strings.HasPrefix(got.Error, want) {
				t.Errorf("error %q, want %q", got.Error, want)
			}
		}
	}, hanging)
}

func TestANavidromeThatIsAwayIsAnErrorWithoutSecrets(t *testing.T) {
	address := testenv.NATS(t)
	b, err := bus.Open(t.Context(), bus.Config{URL: address, Name: "r1", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	server := fake.Start(t)
	overHTTP := providers["http"](t, server)
	server.Stop()
	for name, c := range map[string]struct {
		provider navidrome.Subsonic
		want     string
	}{
		"http": {overHTTP, "cannot be reached"},
		"bus":  {overBus{b}, "nobody answers navidrome.subsonic"},
	} {
		for _, admins := range []bool{true, false} {
			got := call(t, newService(subsonicapi.Config{Navidrome: c.provider, AllowAdmins: admins}), "/rest/ping?u=joe&p=s3cret&x=private")
			if !strings.Contains(got.Error, c.want) || strings.Contains(got.Error, "s3cret") || strings.Contains(got.Error, "private") {
				t.Errorf("%s: error %q, want %q in it and no parameter", name, got.Error, c.want)
			}
		}
	}
}

func TestACallThatLeadsBackThroughNavidromeIsRefused(t *testing.T) {
	address := testenv.NATS(t)
	open := func() *bus.Bus {
		b, err := bus.Open(t.Context(), bus.Config{URL: address, Name: "r1", Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		return b
	}
	b := open()
	serve := func(id string, answer func(ctx context.Context) ([]byte, error)) {
		endpoint, err := b.Serve(t.Context(), bus.EndpointConfig{
			ID: id, Replica: "r1",
			Calls: plugincall.NewServer(plugincall.Config{
				ID: id,
				Resolve: func(string, bool) (plugincall.Method, error) {
					return plugincall.Method{Call: plugincall.Returning(func(ctx context.Context, _ []byte) ([]byte, error) { return answer(ctx) })}, nil
				},
				Limits: plugincall.Limits{Timeout: 20 * time.Second, MaxTimeout: 20 * time.Second},
			}),
			Describe: func() bus.Description { return bus.Description{} },
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := endpoint.Drain(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	// Each plugin makes a Subsonic call, for which Navidrome calls the other one.
	for _, id := range []string{"one", "two"} {
		service := newService(subsonicapi.Config{PluginID: id, Navidrome: overBus{b}, AllowAdmins: true, Via: plugincall.Via})
		serve(id, func(ctx context.Context) ([]byte, error) {
			response, err := service.Call(ctx, &api.CallRequest{Url: "/rest/scrobble?u=joe"})
			if err != nil {
				return nil, err
			}
			return []byte(response.Json + response.Error), nil
		})
	}
	plugins := client.New(testenv.Connect(t, address))
	other := map[string]string{"one": "two", "two": "one"}
	navidromeService, err := client.ServeNavidrome(testenv.Connect(t, address), client.Navidrome{
		Subsonic: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer, err := plugins.Call(r.Context(), other[r.URL.Query().Get("c")], "scrobble", nil)
			if err != nil {
				_, _ = io.WriteString(w, "refused: "+err.Error())
				return
			}
			_, _ = w.Write(append([]byte("through "), answer...))
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := navidromeService.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	answer, err := plugins.Call(t.Context(), "one", "scrobble", nil)
	want := "through refused: 400 bad_request: the call leads back into plugin one, which is waiting for it"
	if err != nil || string(answer) != want {
		t.Errorf("got %q, %v, want %q", answer, err, want)
	}
}
