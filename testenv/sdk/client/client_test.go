package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testenv.LatePublisher()) }

// host runs a replica with the probe guest, an echo and a broken plugin.
func host(t *testing.T) *nats.Conn {
	t.Helper()
	url, folder := testenv.NATS(t), t.TempDir()
	testenv.AddPlugin(t, folder, "probe", testenv.Manifest(nil, "MetadataAgent", "Scrobbler"), guests.Wasm(t, guests.Probe))
	testenv.AddPlugin(t, folder, "echo", testenv.Manifest(nil, "MetadataAgent"), guests.Handmade{Body: guests.Echo}.Bytes())
	testenv.AddPlugin(t, folder, "broken", testenv.Manifest(nil, "Scrobbler"), []byte("no wasm"))
	testenv.Start(t, testenv.Config(t, url, folder), nil)
	return testenv.Connect(t, url)
}

func TestMetadataAgentIsThePluginsInterface(t *testing.T) {
	t.Parallel()
	agent := client.New(host(t)).MetadataAgent("probe")
	ctx := t.Context()
	for name, c := range map[string]struct {
		call func() (any, error)
		want string
		err  error
	}{
		"mbid": {func() (any, error) { return agent.GetArtistMBID(ctx, &api.ArtistMBIDRequest{Name: "x"}) }, "mbid of x", nil},
		"biography": {func() (any, error) {
			return agent.GetArtistBiography(ctx, &api.ArtistBiographyRequest{Name: "x"})
		}, "biography of x", nil},
		"similar": {func() (any, error) {
			return agent.GetSimilarArtists(ctx, &api.ArtistSimilarRequest{Limit: 2})
		}, "Similar Artist 2", nil},
		"images": {func() (any, error) { return agent.GetArtistImages(ctx, &api.ArtistImageRequest{}) }, "image2.jpg", nil},
		"album": {func() (any, error) {
			return agent.GetAlbumInfo(ctx, &api.AlbumInfoRequest{Name: "n", Artist: "a"})
		}, "album-mbid-123", nil},
		"not found":             {func() (any, error) { return agent.GetAlbumInfo(ctx, &api.AlbumInfoRequest{}) }, "", api.ErrNotFound},
		"not implemented":       {func() (any, error) { return agent.GetAlbumImages(ctx, &api.AlbumImagesRequest{}) }, "", api.ErrNotImplemented},
		"top songs neither":     {func() (any, error) { return agent.GetArtistTopSongs(ctx, &api.ArtistTopSongsRequest{}) }, "", api.ErrNotImplemented},
		"an error of its own":   {func() (any, error) { return agent.GetArtistURL(ctx, &api.ArtistURLRequest{Name: "x"}) }, "", subjects.ErrPlugin},
		"not found on the wire": {func() (any, error) { return agent.GetAlbumInfo(ctx, &api.AlbumInfoRequest{}) }, "", subjects.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.call()
			if !errors.Is(err, c.err) {
				t.Fatalf("got %v, want %v", err, c.err)
			}
			text, jsonErr := json.Marshal(got)
			if jsonErr != nil {
				t.Fatal(jsonErr)
			}
			if c.err == nil && !strings.Contains(string(text), c.want) {
				t.Errorf("got %s, want %q in it", text, c.want)
			}
		})
	}
}

func TestScrobblerCarriesUserIDAndName(t *testing.T) {
	t.Parallel()
	scrobbler := client.New(host(t)).Scrobbler("probe")
	ctx, joe, now := t.Context(), client.User{ID: "1", Name: "joe"}, time.Now()
	if ok, err := scrobbler.IsAuthorized(ctx, joe); !ok || err != nil {
		t.Errorf("with both: %v, %v", ok, err)
	}
	if ok, err := scrobbler.IsAuthorized(ctx, client.User{ID: "1"}); ok || err != nil {
		t.Errorf("without a name: %v, %v", ok, err)
	}
	if err := scrobbler.Scrobble(ctx, joe, &api.TrackInfo{}, now); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]error{
		"the service is full":    subjects.ErrPlugin,
		"plugin:not_found":       api.ErrNotFound,
		"plugin:not_implemented": api.ErrNotImplemented,
	} {
		if err := scrobbler.NowPlaying(ctx, joe, &api.TrackInfo{Name: text}, now); !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
			t.Errorf("the response's error %q came back as %v", text, err)
		}
	}
}

func TestPluginsAreFoundByCapability(t *testing.T) {
	t.Parallel()
	caller := client.New(host(t))
	for capability, want := range map[string][]string{
		"":              {"echo", "probe"},
		"MetadataAgent": {"echo", "probe"},
		"Scrobbler":     {"probe"}, // broken is one too, but nobody serves it
		"Lyrics":        {},
	} {
		plugins, err := caller.Plugins(t.Context(), capability)
		if err != nil {
			t.Fatal(err)
		}
		ids := []string{}
		for _, p := range plugins {
			ids = append(ids, p.ID)
			if len(p.Replicas) != 1 || p.Version != "1.0.0" {
				t.Errorf("%+v", p)
			}
		}
		if !slices.Equal(ids, want) {
			t.Errorf("%q: got %v, want %v", capability, ids, want)
		}
	}
	if _, err := client.New(testenv.Connect(t, testenv.NATS(t))).Plugins(t.Context(), ""); !errors.Is(err, client.ErrNoReplica) {
		t.Errorf("without a replica: %v", err)
	}
}

func TestDeadlineOfTheContextStopsTheGuest(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := client.New(host(t)).MetadataAgent("probe").GetArtistBiography(ctx, &api.ArtistBiographyRequest{Name: "loop"})
	if !errors.Is(err, subjects.ErrDeadlineExceeded) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestUnavailablePluginsAreExplained(t *testing.T) {
	t.Parallel()
	caller := client.New(host(t))
	for id, want := range map[string]string{"broken": "not a WebAssembly module", "nobody": "on no replica"} {
		_, err := caller.Scrobbler(id).IsAuthorized(t.Context(), client.User{})
		if !errors.Is(err, subjects.ErrUnavailable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q in it", id, err, want)
		}
	}
}

func TestRequestsThatDoNotFitAreReportedByTheClient(t *testing.T) {
	t.Parallel()
	_, err := client.New(host(t)).MetadataAgent("echo").GetArtistBiography(t.Context(), &api.ArtistBiographyRequest{Id: strings.Repeat("x", 2<<20)})
	if !errors.Is(err, subjects.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}

// refusing answers each call with the next of some codes, then with success, and
// counts.
func refusing(t *testing.T, codes ...string) (*nats.Conn, *atomic.Int32) {
	t.Helper()
	conn := testenv.Connect(t, testenv.NATS(t))
	var calls atomic.Int32
	_, err := conn.Subscribe("plugins.p.get_artist_url", func(msg *nats.Msg) {
		n := int(calls.Add(1))
		reply := nats.NewMsg(msg.Reply)
		if n <= len(codes) {
			reply.Header.Set(subjects.HeaderErrorCode, codes[n-1])
			reply.Header.Set(subjects.HeaderRetryAfter, "1ms")
		}
		if err := msg.RespondMsg(reply); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return conn, &calls
}

func TestARefusalThatLastsLongerThanTheCallerIsToldAtOnce(t *testing.T) {
	t.Parallel()
	conn := testenv.Connect(t, testenv.NATS(t))
	_, err := conn.Subscribe("plugins.p.get_artist_url", func(msg *nats.Msg) {
		reply := nats.NewMsg(msg.Reply)
		reply.Header.Set(subjects.HeaderErrorCode, "429")
		reply.Header.Set(subjects.HeaderRetryAfter, "1h")
		if err := msg.RespondMsg(reply); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := client.New(conn).Call(ctx, "p", "get_artist_url", nil); !errors.Is(err, subjects.ErrOverloaded) || ctx.Err() != nil {
		t.Errorf("got %v, and the time of the caller: %v", err, ctx.Err())
	}
}

func TestCallsAreSentAgainOnlyWhereNothingRan(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		codes   []string
		options []client.Option
		want    error
		calls   int32
	}{
		"overloaded is tried again":   {[]string{"429"}, nil, nil, 2},
		"unavailable is tried again":  {[]string{"503", "429"}, nil, nil, 3},
		"but not for ever":            {[]string{"503", "503", "503", "503"}, nil, subjects.ErrUnavailable, 3},
		"nor when it is turned off":   {[]string{"429"}, []client.Option{client.WithResends(0)}, subjects.ErrOverloaded, 1},
		"a crash may have run":        {[]string{"502"}, nil, subjects.ErrCrashed, 1},
		"a deadline may have run":     {[]string{"408"}, nil, subjects.ErrDeadlineExceeded, 1},
		"a plugin's error has run":    {[]string{"500"}, nil, subjects.ErrPlugin, 1},
		"a code that is not known is": {[]string{"599"}, nil, subjects.ErrPlugin, 1},
	} {
		t.Run(name, func(t *testing.T) {
			conn, calls := refusing(t, c.codes...)
			_, err := client.New(conn, c.options...).MetadataAgent("p").GetArtistURL(t.Context(), &api.ArtistURLRequest{})
			if !errors.Is(err, c.want) || calls.Load() != c.calls {
				t.Errorf("got %v after %d calls, want %v after %d", err, calls.Load(), c.want, c.calls)
			}
		})
	}
}

func TestRefreshReachesEveryReplica(t *testing.T) {
	t.Parallel()
	caller := client.New(host(t))
	results, err := caller.Refresh(t.Context(), "echo")
	if err != nil || len(results) != 1 || results[0].Error != "" || results[0].Plugin == nil || results[0].Plugin.State != subjects.StateReady {
		t.Errorf("%+v, %v", results, err)
	}
	results, err = caller.Refresh(t.Context(), "broken")
	if err != nil || len(results) != 1 || !strings.Contains(results[0].Error, "not a WebAssembly module") {
		t.Errorf("%+v, %v", results, err)
	}
}

func TestRefreshWaitsForReplicasThatAreAliveOnly(t *testing.T) {
	t.Parallel()
	conn := testenv.Connect(t, testenv.NATS(t))
	respond := func(subject string, answers func() []any) {
		t.Helper()
		if _, err := conn.Subscribe(subject, func(msg *nats.Msg) {
			for _, answer := range answers() {
				body, err := json.Marshal(answer)
				if err == nil {
					err = msg.Respond(body)
				}
				if err != nil {
					t.Error(err)
				}
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	header := func(replica string) subjects.Header { return subjects.Header{V: 1, Replica: replica, Replicas: 3} }
	// "slow" is seen three times before it answers, "dead" only once.
	var asked atomic.Int64
	slow := make(chan struct{})
	respond(subjects.ControlStatus, func() []any {
		n := asked.Add(1)
		if n == 3 {
			close(slow)
		}
		answers := []any{subjects.Status{Header: header("quick")}, subjects.Status{Header: header("slow")}}
		if n == 1 {
			answers = append(answers, subjects.Status{Header: header("dead")})
		}
		return answers
	})
	respond(subjects.ControlRefresh("echo"), func() []any { return []any{subjects.Refreshed{Header: header("quick"), ID: "echo"}} })
	respond(subjects.ControlRefresh("echo"), func() []any {
		<-slow
		return []any{subjects.Refreshed{Header: header("slow"), ID: "echo"}}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	answers, err := client.New(conn).Refresh(ctx, "echo")
	if err != nil || len(answers) != 2 || answers[0].Replica != "quick" || answers[1].Replica != "slow" || ctx.Err() != nil {
		t.Errorf("Refresh: %+v, %v, %v", answers, err, ctx.Err())
	}
}

// What a reply tells in two headers of one name, nobody can tell.
func TestAReplyWithAHeaderTwiceIsAnError(t *testing.T) {
	t.Parallel()
	conn := testenv.Connect(t, testenv.NATS(t))
	headers := make(chan nats.Header, 1)
	if _, err := conn.Subscribe(subjects.Calls("p"), func(msg *nats.Msg) {
		_ = msg.RespondMsg(&nats.Msg{Header: <-headers, Data: []byte("x")})
	}); err != nil {
		t.Fatal(err)
	}
	for _, header := range []nats.Header{
		{subjects.HeaderErrorCode: {"", "404"}},
		{subjects.HeaderErrorCode: {"404"}, strings.ToLower(subjects.HeaderErrorCode): {"500"}},
		{subjects.HeaderErrorCode: {"404"}, subjects.HeaderError: {"a", "b"}},
		{subjects.HeaderErrorCode: {"429"}, subjects.HeaderRetryAfter: {"1ms", "1h"}},
	} {
		headers <- header
		answer, err := client.New(conn).Call(t.Context(), "p", "get", nil)
		if err == nil || !strings.Contains(err.Error(), "2 times") {
			t.Errorf("%v: %q, %v", header, answer, err)
		}
	}
}
