package subsonicapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pluginhost/pluginhost/hostsvc/navidrome"
	"github.com/pluginhost/pluginhost/hostsvc/subsonicapi"
	api "github.com/pluginhost/pluginhost/sdk/api/host/subsonicapi"
	"github.com/pluginhost/pluginhost/sdk/hold"
	"github.com/pluginhost/pluginhost/subjects"
)

// provider is a Navidrome in this process.
type provider func(ctx context.Context, request navidrome.SubsonicRequest) ([]byte, error)

func (p provider) Subsonic(ctx context.Context, request navidrome.SubsonicRequest) ([]byte, error) {
	return p(ctx, request)
}

// answering answers every request with one body.
func answering(body string) provider {
	return func(context.Context, navidrome.SubsonicRequest) ([]byte, error) { return []byte(body), nil }
}

func userNamed(name string, admin bool) string {
	return fmt.Sprintf(`{"subsonic-response":{"status":"ok","user":{"username":%q,"adminRole":%t}}}`, name, admin)
}

func TestWithoutANavidromeEveryCallFails(t *testing.T) {
	for _, rawURL := range []string{"/rest/ping?u=joe", "://invalid-url", ""} {
		if got := call(t, newService(subsonicapi.Config{}), rawURL); got.Error != "SubsonicAPI router not available" || got.Json != "" {
			t.Errorf("%q: got %q, error %q", rawURL, got.Json, got.Error)
		}
	}
}

func TestAMissingRequestIsAnErrorNotAPanic(t *testing.T) {
	got, err := newService(subsonicapi.Config{Navidrome: answering("")}).Call(t.Context(), nil)
	if err != nil || got.Error != "missing required parameter 'u' (username)" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestURLsThatDoNotParseKeepTheirSecrets(t *testing.T) {
	service := newService(subsonicapi.Config{Navidrome: answering("")})
	for _, rawURL := range []string{
		"://x?u=joe&p=s3cret", "http://joe:s3cret@[::1/ping", "http://h:port/ping?p=s3cret", "http://joe:s3cret%zz@h/ping",
		"http://joe:12s3cret/x@h/ping", "http://joe:s3cret?x@h/ping", "%zz#p=s3cret", "\x7f?p=s3cret", "http://joe:s3cret#@h/ping",
	} {
		got := call(t, service, rawURL)
		if !strings.HasPrefix(got.Error, "invalid URL format: ") || strings.Contains(got.Error, "s3cret") {
			t.Errorf("%q: error %q", rawURL, got.Error)
		}
	}
}

func TestRoleAnswersThatAreNotClearAreErrors(t *testing.T) {
	const unknown = "the role of the user is unknown: "
	for name, c := range map[string]struct {
		answer string
		want   string // prefix of the error; empty is none
	}{
		"a user":                       {userNamed("joe", false), ""},
		"a user in another case":       {userNamed("JOE", false), ""},
		"a user without a role":        {`{"subsonic-response":{"status":"ok","user":{"username":"joe"}}}`, unknown + "the answer to getUser does not tell it"},
		"somebody else":                {userNamed("bob", false), unknown + "the answer to getUser is about somebody else"},
		"a name that only looks alike": {userNamed("j\u00d3e", false), unknown + "the answer to getUser is about somebody else"},
		"a user without a name":        {`{"subsonic-response":{"status":"ok","user":{"adminRole":false}}}`, unknown + "the answer to getUser is about somebody else"},
		"no user":                      {`{"subsonic-response":{"status":"ok"}}`, unknown + "the answer to getUser has neither"},
		"a user that is null":          {`{"subsonic-response":{"status":"ok","user":null}}`, unknown + "the answer to getUser has neither"},
		"a status that is not known":   {`{"subsonic-response":{"status":"OK","user":{"username":"joe"}}}`, unknown + "the answer to getUser has neither"},
		"no status":                    {`{"subsonic-response":{"user":{"username":"joe"}}}`, unknown + "the answer to getUser has neither"},
		"a failure with a user":        {`{"subsonic-response":{"status":"failed","user":{"username":"joe"}}}`, unknown + "the answer to getUser has neither"},
		"no response":                  {`{"user":{"username":"joe","adminRole":false}}`, unknown + "the answer to getUser is not that"},
		"null":                         {`null`, unknown + "the answer to getUser is not that"},
		"nothing":                      {``, unknown + "the answer to getUser is not that"},
		"no JSON":                      {`404 page not found`, unknown + "the answer to getUser is not that"},
		"JSON and more":                {userNamed("joe", false) + "x", unknown + "the answer to getUser is not that"},
		"XML":                          {`<subsonic-response status="ok"/>`, unknown + "the answer to getUser is not that"},
		"a role that is a string":      {`{"subsonic-response":{"status":"ok","user":{"username":"joe","adminRole":"false"}}}`, unknown + "the answer to getUser is not that"},
		"code 40":                      {`{"subsonic-response":{"status":"failed","error":{"code":40,"message":"m"}}}`, "username joe not found"},
		"code 70":                      {`{"subsonic-response":{"status":"failed","error":{"code":70,"message":"m"}}}`, "username joe not found"},
		"another code":                 {`{"subsonic-response":{"status":"failed","error":{"code":50,"message":"not you"}}}`, "not you"},
		"another code without a text":  {`{"subsonic-response":{"status":"failed","error":{"code":50}}}`, unknown + "getUser failed with code 50"},
		"a very long answer":           {userNamed("joe", false) + strings.Repeat(" ", 64<<10), "the answer to getUser has "},
		"an admin":                     {userNamed("joe", true), "calling SubsonicAPI as admin user is not allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			passed := false
			service := newService(subsonicapi.Config{Navidrome: provider(func(_ context.Context, request navidrome.SubsonicRequest) ([]byte, error) {
				if request.Endpoint == "getUser" {
					return []byte(c.answer), nil
				}
				passed = true
				return nil, nil
			})})
			got := call(t, service, "/rest/ping?u=joe")
			if passed != (c.want == "") || !strings.HasPrefix(got.Error, c.want) || (got.Error == "") != (c.want == "") {
				t.Errorf("passed: %t, error %q, want %q", passed, got.Error, c.want)
			}
		})
	}
}

func TestRolesAreRememberedForAShortTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lookups int
		var answer string
		var failure error
		service := newService(subsonicapi.Config{Navidrome: provider(func(_ context.Context, request navidrome.SubsonicRequest) ([]byte, error) {
			if request.Endpoint == "getUser" {
				lookups++
				return []byte(answer), failure
			}
			return nil, nil
		})})
		step := func(what, name string, want int, wantError string) {
			t.Helper()
			got := call(t, service, "/ping?u="+url.QueryEscape(name))
			if lookups != want || got.Error != wantError {
				t.Errorf("%s: %d look-ups and error %q, want %d and %q", what, lookups, got.Error, want, wantError)
			}
		}
		const admin = "calling SubsonicAPI as admin user is not allowed"
		failure = errors.New("away")
		step("a failure", "joe", 1, "away")
		failure, answer = nil, `{"subsonic-response":{"status":"failed","error":{"code":40}}}`
		step("a failure is not remembered", "joe", 2, "username joe not found")
		answer = userNamed("joe", false)
		step("nor is a missing user", "joe", 3, "")
		answer = userNamed("joe", true)
		step("a role is", "joe", 3, "")
		step("whatever the case", "JOE", 3, "")
		time.Sleep(subsonicapi.KeepRole) //nolint:forbidigo // of the bubble's clock
		step("but not for long", "joe", 4, admin)
		answer = userNamed("joe", false)
		step("an admin is remembered, too", "joe", 4, admin)
		answer = userNamed("\u00e9ric", false)
		step("a user", "\u00e9ric", 5, "")
		answer = userNamed("\u00c9ric", true)
		step("another user to Navidrome, whose letters have case in ASCII only", "\u00c9ric", 6, admin)
	})
}

func TestRememberedRolesAreBounded(t *testing.T) {
	service := newService(subsonicapi.Config{Navidrome: provider(func(_ context.Context, request navidrome.SubsonicRequest) ([]byte, error) {
		return []byte(userNamed(request.User, false)), nil
	})})
	for i := range subsonicapi.MaxRoles + 50 {
		if got := call(t, service, fmt.Sprintf("/ping?u=user%d", i)); got.Error != "" {
			t.Fatal(got.Error)
		}
	}
	if got := service.Roles(); got != subsonicapi.MaxRoles {
		t.Errorf("%d users are remembered, want %d", got, subsonicapi.MaxRoles)
	}
}

func TestErrorsOfTheProviderArePassedOn(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"another":       {errors.New("503 unavailable"), "503 unavailable"},
		"of any length": {errors.New(strings.Repeat("x", 1<<20)), strings.Repeat("x", 2048) + "…"},
		"not UTF-8":     {errors.New("a\xffb"), "a\uFFFDb"},
		"a deadline":    {context.DeadlineExceeded, "no answer of Navidrome to ping in time: a call may take 10s, or what is left to the plugin"},
	} {
		service := newService(subsonicapi.Config{AllowAdmins: true, Navidrome: provider(func(context.Context, navidrome.SubsonicRequest) ([]byte, error) {
			return []byte("not this"), c.err
		})})
		if got := call(t, service, "/ping?u=joe"); got.Error != c.want || got.Json != "" {
			t.Errorf("%s: got %q, error %q, want %q", name, got.Json, got.Error, c.want)
		}
	}
}

func TestRequestsTellWhoWaits(t *testing.T) {
	if subsonicapi.MaxVia != subjects.MaxVia {
		t.Errorf("at most %d plugins in a row, but the header has room for %d", subsonicapi.MaxVia, subjects.MaxVia)
	}
	seven := []string{"1", "2", "3", "4", "5", "6", "7"}
	for name, c := range map[string]struct {
		waiting []string
		want    string // error
	}{
		"nobody":             {nil, ""},
		"another":            {[]string{"other"}, ""},
		"as many as may":     {seven, ""},
		"one too many":       {append(slices.Clone(seven), "8"), "8 plugins wait for each other already, no more may"},
		"the plugin itself":  {[]string{"other", "test-plugin", "more"}, "the call leads back into plugin test-plugin, which is waiting for it"},
		"one of a like name": {[]string{"Test-Plugin"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			waiting := slices.Clip(slices.Clone(c.waiting))
			var asked [][]string
			service := newService(subsonicapi.Config{
				Via: func(context.Context) []string { return waiting },
				Navidrome: provider(func(_ context.Context, request navidrome.SubsonicRequest) ([]byte, error) {
					asked = append(asked, request.Via)
					return []byte(userNamed("joe", false)), nil
				}),
			})
			if got := call(t, service, "/ping?u=joe"); got.Error != c.want {
				t.Errorf("error %q, want %q", got.Error, c.want)
			}
			if c.want == "" && len(asked) != 2 || c.want != "" && len(asked) != 0 {
				t.Fatalf("Navidrome was asked %d times", len(asked))
			}
			for _, via := range asked {
				if !slices.Equal(via, append(slices.Clone(c.waiting), "test-plugin")) {
					t.Errorf("via %q", via)
				}
			}
		})
	}
}

// Navidrome hands each scrobble to the same plugin, which makes a Subsonic call for
// it. The plugin has ten instances, each of which does one call at a time.
func TestCallsThatLeadBackUnseenEndInRefusal(t *testing.T) {
	const instances, callers = 10, 20
	free := make(chan struct{}, instances)
	var service *subsonicapi.Service
	var refused atomic.Int64
	plugin := func(ctx context.Context) (string, error) {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			return "", ctx.Err()
		}
		defer func() { <-free }()
		response, err := service.Call(ctx, &api.CallRequest{Url: "/rest/scrobble?u=joe"})
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(response.Error, "9 Subsonic calls of the plugin are running") {
			refused.Add(1)
		} else if response.Error != "" {
			t.Errorf("error %q", response.Error)
		}
		return response.Json, nil
	}
	service = newService(subsonicapi.Config{MaxCalls: instances - 1, AllowAdmins: true, Timeout: 20 * time.Second,
		Navidrome: provider(func(ctx context.Context, _ navidrome.SubsonicRequest) ([]byte, error) {
			answer, err := plugin(ctx)
			return []byte(answer), err
		})})
	service.SetWait(time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var running sync.WaitGroup
	for range callers {
		running.Go(func() {
			if _, err := plugin(ctx); err != nil {
				t.Errorf("a call hung: %v", err)
			}
		})
	}
	running.Wait()
	if refused.Load() == 0 {
		t.Error("no call was refused")
	}
}

func TestOneCallTooManyWaitsForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		entered, release := make(chan struct{}), make(chan struct{})
		service := newService(subsonicapi.Config{MaxCalls: 1, AllowAdmins: true, Navidrome: provider(func(context.Context, navidrome.SubsonicRequest) ([]byte, error) {
			entered <- struct{}{}
			<-release
			return []byte("answer"), nil
		})})
		results := make(chan *api.CallResponse, 3)
		start := func() { go func() { results <- call(t, service, "/ping?u=joe") }() }
		start()
		<-entered
		start()
		synctest.Wait()
		close(release) // within the second
		<-entered
		for range 2 {
			if got := <-results; got.Json != "answer" {
				t.Errorf("error %q", got.Error)
			}
		}

		release = make(chan struct{})
		start()
		<-entered
		late := call(t, service, "/ping?u=joe")
		if want := "1 Subsonic calls of the plugin are running, and none ended within "; !strings.HasPrefix(late.Error, want) {
			t.Errorf("error %q, want %q", late.Error, want)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if got, err := service.Call(ctx, &api.CallRequest{Url: "/ping?u=joe"}); err != nil || !strings.HasPrefix(got.Error, "no turn for the call in time") {
			t.Errorf("a call with little time: %v, %v", got, err)
		}
		close(release)
		if got := <-results; got.Json != "answer" {
			t.Errorf("error %q", got.Error)
		}
	})
}

func TestACallEndsWithItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hanging := provider(func(ctx context.Context, _ navidrome.SubsonicRequest) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		for timeout, want := range map[time.Duration]time.Duration{0: 10 * time.Second, 3 * time.Second: 3 * time.Second} {
			start := time.Now()
			var log bytes.Buffer
			got := call(t, newService(subsonicapi.Config{Navidrome: hanging, Timeout: timeout, Logger: slog.New(slog.NewTextHandler(&log, nil))}), "/ping?u=joe")
			if took := time.Since(start); took != want || !strings.Contains(got.Error, "a call may take "+want.String()) {
				t.Errorf("after %v on the bubble's clock: %q, want %v", took, got.Error, want)
			}
			if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), got.Error) || !strings.Contains(log.String(), `cause="context deadline exceeded"`) {
				t.Errorf("logged %s", &log)
			}
		}
	})
}

func TestRefusalsAreLoggedButDoNotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		service := newService(subsonicapi.Config{
			AllowedUsernames: []string{"joe"}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			Navidrome: answering(`{"subsonic-response":{"status":"failed","error":{"code":40}}}`),
		})
		call(t, service, "/ping?u=joe&p=s3cret")
		for _, want := range []string{"level=WARN", "plugin=test-plugin", "user=joe", `reason="username joe not found"`, "hint=", "does not trust"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("log %s, want %s in it", &log, want)
			}
		}
		for range 1000 {
			call(t, service, "/ping?u=bob&p=s3cret")
		}
		if lines := strings.Count(log.String(), "\n"); lines > 20 {
			t.Errorf("%d lines", lines)
		}
		if strings.Contains(log.String(), "s3cret") {
			t.Error("a password is in the log")
		}
	})
}

// What the operator must know of a call that was not made: whose, and why.
func TestEveryRefusalIsLogged(t *testing.T) {
	nowhere := func(context.Context, navidrome.SubsonicRequest) ([]byte, error) { return nil, navidrome.ErrRequest }
	for name, c := range map[string]struct {
		navidrome navidrome.Subsonic
		url       string
		want      string
	}{
		"no Navidrome":           {nil, "/ping?u=joe", "SubsonicAPI router not available"},
		"a URL that is no URL":   {answering(""), "://s3cret", "invalid URL format: "},
		"a long URL":             {answering(""), "/ping?u=joe&p=s3cret&x=" + strings.Repeat("x", subsonicapi.MaxURL), "the limit is 1048576"},
		"many parameters":        {answering(""), "/ping?p=s3cret" + strings.Repeat("&", 10_000), "the limit is 9997"},
		"no user":                {answering(""), "/ping?p=s3cret", "missing required parameter"},
		"no endpoint":            {answering(""), "?u=joe&p=s3cret", "names no endpoint"},
		"what cannot be sent":    {provider(nowhere), "/ping?u=joe&p=s3cret", "request cannot be sent to navidrome"},
		"an answer that is long": {answering(strings.Repeat("x", 11<<20)), "/ping?u=joe&p=s3cret", "the limit is 10485760"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			service := newService(subsonicapi.Config{AllowAdmins: true, Navidrome: c.navidrome, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if got := call(t, service, c.url); !strings.Contains(got.Error, c.want) {
				t.Errorf("error %.200q, want %q in it", got.Error, c.want)
			}
			if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "level=WARN") || !strings.Contains(text, "plugin=test-plugin") ||
				!strings.Contains(text, c.want) || len(text) > 4<<10 {
				t.Errorf("logged %.400q, want one record with %q", text, c.want)
			}
			if name != "a URL that is no URL" && strings.Contains(log.String(), "s3cret") {
				t.Error("a password is in the log")
			}
		})
	}
}

// Not what Navidrome says: somebody in between answers, or there is no Navidrome.
func TestAnswersThatAreNoSubsonicAreLogged(t *testing.T) {
	for name, c := range map[string]struct{ body, logged string }{
		"a page of a proxy":      {"<html>\r\n<head><title>502 Bad Gateway</title></head>", `bytes=51 answer="<html> <head><title>502 Bad Gateway</title></head>"`},
		"a long page":            {"<!DOCTYPE html>" + strings.Repeat("x", 1<<20), "bytes=1048591 answer=\"<!DOCTYPE html>" + strings.Repeat("x", 185) + `…"`},
		"plain text":             {"404 page not found\n", `answer="404 page not found"`},
		"other JSON":             {`{"error":"unauthorized"}`, "unauthorized"},
		"a list":                 {"[]", "answer=[]"},
		"broken JSON":            {`{"subsonic-resp`, "subsonic-resp"},
		"XML":                    {`<?xml version="1.0"?><subsonic-response status="ok"/>`, "<subsonic-response"},
		"nothing":                {"", `bytes=0 answer=""`},
		"an answer":              {` {"subsonic-response":{"status":"ok"}}`, ""},
		"a failure":              {`{"subsonic-response":{"status":"failed","error":{"code":70}}}`, ""},
		"an image":               {"\x89PNG\r\n\x1a\n", ""},
		"a song":                 {"ID3\x04\x00", ""},
		"bytes of an odd format": {"\x00\x01\x02", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			service := newService(subsonicapi.Config{AllowAdmins: true, Navidrome: answering(c.body), Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if got := call(t, service, "/stream?u=joe"); got.Json != c.body || got.Error != "" {
				t.Errorf("got %.100q, error %q", got.Json, got.Error)
			}
			text := log.String()
			if c.logged == "" && text != "" || !strings.Contains(text, c.logged) {
				t.Errorf("logged %s, want %s", text, c.logged)
			}
			if c.logged != "" && !strings.Contains(text, "plugin=test-plugin endpoint=stream") {
				t.Errorf("logged %s", text)
			}
		})
	}
}

// noMemory has nothing left for a plugin.
type noMemory struct{}

func (noMemory) Hold(int) error { return hold.ErrRefused }

func TestWhatIsMadeOfAQueryIsCharged(t *testing.T) {
	service := newService(subsonicapi.Config{AllowAdmins: true, Navidrome: answering("")})
	got, err := service.Call(context.WithValue(t.Context(), hold.Key{}, noMemory{}), &api.CallRequest{Url: "/ping?u=joe"})
	if err != nil || !strings.Contains(got.Error, "the query of 5 bytes: it was refused more memory") {
		t.Errorf("got %v, %v", got, err)
	}
}

// A request over the limit of its function is refused before the service sees it.
func TestARequestOverTheLimitIsLogged(t *testing.T) {
	var log bytes.Buffer
	service := newService(subsonicapi.Config{Navidrome: answering(""), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	response, err := subsonicapi.Functions(service)[0].Refuse(t.Context(), 2<<20, nil)
	if err != nil || !strings.Contains(string(response), "invalid URL format: request of 2097152 bytes is over the limit") {
		t.Errorf("got %q, %v", response, err)
	}
	if text := log.String(); !strings.Contains(text, "plugin=test-plugin") || !strings.Contains(text, "request of 2097152 bytes") {
		t.Errorf("logged %q", text)
	}
}

// Whatever the URL, Navidrome gets a request of the plugin's own, for the user that
// was checked.
func FuzzCall(f *testing.F) {
	for _, seed := range []string{
		"/rest/ping?u=joe", "https://a:b@h:1/x/ping.view?u=joe&u=x&p=1&c=2", "://", "?u=joe", "/..?u=joe", "/%2e%2e?u=joe", "/a%2fb?u=%20joe",
		"ping?u=joe%0d%0a", "mailto:ping?u=joe", "//h?u=joe", "/ping?u=joe;p=1&%zz", "/ping#?u=joe",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, rawURL string) {
		service := newService(subsonicapi.Config{AllowAdmins: true, Navidrome: provider(func(_ context.Context, request navidrome.SubsonicRequest) ([]byte, error) {
			query := request.Query
			for name, want := range map[string]string{"u": request.User, "c": "test-plugin", "f": "json", "v": "1.16.1"} {
				if len(query[name]) != 1 || query.Get(name) != want {
					t.Errorf("%s is %q, want %q", name, query[name], want)
				}
			}
			for _, name := range []string{"p", "t", "s", "jwt", "apiKey"} {
				if query.Has(name) {
					t.Errorf("%s is sent", name)
				}
			}
			if e := request.Endpoint; e == "" || e == "." || e == ".." || len(e) > 100 || strings.ContainsAny(e, "/\x00\r\n") {
				t.Errorf("endpoint %q", e)
			}
			if u := request.User; u == "" || len(u) > 255 || strings.TrimSpace(u) != u || strings.ContainsAny(u, "\x00\r\n") {
				t.Errorf("user %q", u)
			}
			return []byte("answer"), nil
		})})
		if got := call(t, service, rawURL); (got.Json == "") == (got.Error == "") {
			t.Errorf("answer %q and error %q", got.Json, got.Error)
		}
	})
}

// Where Navidrome is, is the operator's to know.
func TestWhereNavidromeIsGoesToTheLogAlone(t *testing.T) {
	address, err := url.Parse("http://127.0.0.1:1/inner")
	if err != nil {
		t.Fatal(err)
	}
	server := navidrome.New(navidrome.Config{URL: address})
	defer server.Close()
	var log bytes.Buffer
	service := newService(subsonicapi.Config{AllowAdmins: true, Navidrome: server, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if got := call(t, service, "/ping?u=joe"); got.Error != "navidrome cannot be reached" {
		t.Errorf("error %q", got.Error)
	}
	if !strings.Contains(log.String(), "127.0.0.1:1/inner cannot be reached") {
		t.Errorf("logged %s", log.String())
	}
}

// To Navidrome É and é are two users, and so is a Kelvin sign no k.
func TestAllowedUsernamesFoldAsNavidromeDoes(t *testing.T) {
	service := newService(subsonicapi.Config{
		AllowAdmins: true, AllowedUsernames: []string{"Kate", "Éric"},
		Navidrome: provider(func(context.Context, navidrome.SubsonicRequest) ([]byte, error) { return []byte("ok"), nil }),
	})
	for user, allowed := range map[string]bool{"kate": true, "KATE": true, "\u212aate": false, "Éric": true, "Éric ": false, "éric": false} {
		got := call(t, service, "/ping?u="+url.QueryEscape(user))
		if (got.Error == "") != allowed {
			t.Errorf("%q: error %q", user, got.Error)
		}
	}
}
