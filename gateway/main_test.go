package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testenv.LatePublisher()) }

// patience bounds what a test waits for.
const patience = time.Minute

const (
	protobuf = subjects.ContentTypeProtobuf
	asJSON   = subjects.ContentTypeJSON
)

// echo is a plugin that returns every request.
var echo = guests.Handmade{Body: guests.Echo}.Bytes()

// house is a replica with a gateway.
type house struct {
	t       *testing.T
	replica *replica.Replica
	natsURL string
	client  *client.Client // of an operator
	http    *http.Client
	token   string // of a service, for calls, plays and looking
}

// open starts a replica with what prepare puts into its configuration and plugins folder.
func open(t *testing.T, prepare func(*config.Config)) *house {
	t.Helper()
	return openOn(t, testenv.NATS(t), prepare)
}

// openOn is open on a NATS server.
func openOn(t *testing.T, url string, prepare func(*config.Config)) *house {
	t.Helper()
	settings := testenv.Config(t, url, t.TempDir())
	settings.HTTP.Listen = "127.0.0.1:0"
	prepare(&settings)
	h := &house{t: t, replica: testenv.Start(t, settings, nil), natsURL: url, client: client.New(testenv.Connect(t, url))}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	h.http = &http.Client{Transport: transport, Timeout: patience}
	h.token = h.newToken(subjects.AccessTokenGrant{Scopes: []subjects.AccessScope{subjects.ScopeCall, subjects.ScopeScrobble, subjects.ScopeView}})
	return h
}

// add puts a plugin into a folder.
func add(t *testing.T, c *config.Config, id string, wasm []byte, capabilities ...string) {
	t.Helper()
	testenv.AddPlugin(t, c.Plugins.Folder, id, testenv.Manifest(nil, capabilities...), wasm)
}

// newToken makes a token.
func (h *house) newToken(grant subjects.AccessTokenGrant) string {
	h.t.Helper()
	secret, _, err := h.client.CreateAccessToken(h.t.Context(), grant)
	if err != nil {
		h.t.Fatal(err)
	}
	return secret
}

// answer is what the gateway answered.
type answer struct {
	status int
	header http.Header
	body   string
}

// failure is the failure in the body of an answer.
func (a answer) failure(t *testing.T) subjects.HTTPFailure {
	t.Helper()
	var failure subjects.HTTPFailure
	if err := json.Unmarshal([]byte(a.body), &failure); err != nil || failure.V != subjects.Version || a.header.Get("Content-Type") != asJSON {
		t.Fatalf("no failure: %d %v %.300s", a.status, a.header, a.body)
	}
	return failure
}

// request is what is sent; a zero field is as most requests have it.
type request struct {
	method, path, token, kind, body string
	header                          map[string]string
}

// ask sends a request.
func (h *house) ask(r request) answer {
	h.t.Helper()
	got, err := h.try(r)
	if err != nil {
		h.t.Fatal(err)
	}
	return got
}

func (h *house) try(r request) (answer, error) {
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	if r.method == "" {
		r.method = http.MethodPost
	}
	sent, err := http.NewRequestWithContext(ctx, r.method, "http://"+h.replica.HTTPAddress()+r.path, strings.NewReader(r.body))
	if err != nil {
		return answer{}, err
	}
	if r.kind != "" {
		sent.Header.Set("Content-Type", r.kind)
	}
	switch r.token {
	case "":
		sent.Header.Set("Authorization", "Bearer "+h.token)
	case "none":
	default:
		sent.Header.Set("Authorization", "Bearer "+r.token)
	}
	for name, value := range r.header {
		if name == "Host" {
			sent.Host = value
		}
		sent.Header.Set(name, value)
	}
	response, err := h.http.Do(sent)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	var body bytes.Buffer
	if _, err := io.Copy(&body, response.Body); err != nil {
		return answer{}, err
	}
	return answer{response.StatusCode, response.Header, body.String()}, nil
}

// refuses sends a request and looks at the failure that it gets.
func (h *house) refuses(r request, status int, name, says string) {
	h.t.Helper()
	got := h.ask(r)
	failure := got.failure(h.t)
	if got.status != status || failure.Name != name || !strings.Contains(failure.Error, says) {
		h.t.Errorf("%s %s: %d %+v, want %d %s with %q", r.method, r.path, got.status, failure, status, name, says)
	}
}
