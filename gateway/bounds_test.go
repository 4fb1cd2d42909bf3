package gateway_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/gateway"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
)

// cluster is what a gateway of its own has behind it.
type cluster struct {
	response []byte
	infos    []subjects.PluginInfo
	listed   []client.Listed
	stale    error
}

func (*cluster) Find(context.Context, string) (subjects.AccessTokenGrant, error) {
	return subjects.AccessTokenGrant{Scopes: subjects.AccessScopes()}, nil
}

func (c *cluster) Do(context.Context, string, string, client.Request) ([]byte, error) {
	return c.response, nil
}

func (c *cluster) Info(context.Context, string) ([]subjects.PluginInfo, error) { return c.infos, nil }

func (c *cluster) Listed() []client.Listed { return c.listed }

func (c *cluster) Stale() (time.Time, error) { return time.Time{}, c.stale }

var errNoMoney = errors.New("nobody pays")

// gets asks a gateway in front of a cluster for which somebody pays so often.
func (c *cluster) gets(t *testing.T, pays int, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	g, err := gateway.New(gateway.Config{
		Tokens: c, Plugins: c, Listed: c, MaxBody: 1 << 20, MaxBodies: 1 << 20, MaxTimeout: time.Second, Logger: slog.New(slog.DiscardHandler),
		Hold: func(int64) (func(), error) {
			if pays--; pays < 0 {
				return nil, subjects.Errorf(subjects.ErrOverloaded, "%w", errNoMoney)
			}
			return func() {}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer x")
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w
}

func TestWhatAGatewayKeepsForAnAnswerIsPaidFor(t *testing.T) {
	call := func() *http.Request {
		r := httptest.NewRequest(http.MethodPost, "http://localhost"+path("p", "scrobble"), strings.NewReader("\x0a\x01x"))
		r.Header.Set("Content-Type", protobuf)
		return r
	}
	list := func() *http.Request {
		return httptest.NewRequest(http.MethodGet, "http://localhost"+subjects.HTTPPlugins, nil)
	}
	long := strings.Repeat("x", 100_000)
	for _, c := range []struct {
		name    string
		cluster cluster
		request *http.Request
		pays    int
		status  int
	}{
		// What a plugin has done is not hidden for want of a few bytes.
		{"a short reply", cluster{response: []byte("\x0a\x0bretry later")}, call(), 1, http.StatusOK},
		{"a long reply", cluster{response: []byte(long)}, call(), 1, http.StatusBadGateway},
		{"a long reply that is paid for", cluster{response: []byte(long)}, call(), 2, http.StatusOK},
		{"a long list", cluster{listed: []client.Listed{{PluginStatus: subjects.PluginStatus{ID: long}}}}, list(), 0, http.StatusTooManyRequests},
		{"a long list that is paid for", cluster{listed: []client.Listed{{PluginStatus: subjects.PluginStatus{ID: long}}}}, list(), 1, http.StatusOK},
		{"a short list", cluster{}, list(), 0, http.StatusOK},
	} {
		if got := c.cluster.gets(t, c.pays, c.request); got.Code != c.status {
			t.Errorf("%s: %d %.200s, want %d", c.name, got.Code, got.Body, c.status)
		}
	}
}

func TestNoReplicaHasAPluginOnlyIfAllHaveSaidSo(t *testing.T) {
	said := func(replica string, of int, plugin *subjects.PluginStatus) subjects.PluginInfo {
		return subjects.PluginInfo{Header: subjects.Header{Replica: replica, Replicas: of}, Plugin: plugin}
	}
	for _, c := range []struct {
		name   string
		infos  []subjects.PluginInfo
		status int
	}{
		{"all", []subjects.PluginInfo{said("a", 2, nil), said("b", 2, nil)}, http.StatusNotFound},
		{"one of two", []subjects.PluginInfo{said("a", 2, nil)}, http.StatusServiceUnavailable},
		{"one of two, which has it", []subjects.PluginInfo{said("a", 2, &subjects.PluginStatus{})}, http.StatusOK},
	} {
		r := httptest.NewRequest(http.MethodGet, "http://localhost"+subjects.HTTPPlugins+"/p", nil)
		if got := (&cluster{infos: c.infos}).gets(t, 9, r); got.Code != c.status {
			t.Errorf("%s: %d %s, want %d", c.name, got.Code, got.Body, c.status)
		}
	}
}

func TestAListThatNobodyHasToldIsNotEmpty(t *testing.T) {
	for _, c := range []struct {
		name    string
		cluster cluster
		status  int
	}{
		{"nobody has ever", cluster{stale: client.ErrNoAnswer}, http.StatusServiceUnavailable},
		{"nobody does any more", cluster{stale: client.ErrNoAnswer, listed: []client.Listed{{}}}, http.StatusOK},
		{"there is none", cluster{}, http.StatusOK},
	} {
		r := httptest.NewRequest(http.MethodGet, "http://localhost"+subjects.HTTPPlugins, nil)
		if got := c.cluster.gets(t, 9, r); got.Code != c.status {
			t.Errorf("%s: %d %s, want %d", c.name, got.Code, got.Body, c.status)
		}
	}
}
