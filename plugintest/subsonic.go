package plugintest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"

	"github.com/pluginhost/pluginhost/hostsvc/navidrome"
	"github.com/pluginhost/pluginhost/hostsvc/subsonicapi"
	apisubsonicapi "github.com/pluginhost/pluginhost/sdk/api/host/subsonicapi"
)

// Subsonic has a handler answer what the plugin asks of the Subsonic API, in the place of
// another. It gets GET /rest/<endpoint> with the parameters that Navidrome would get, and the
// user in the header Remote-User. What it answers, the plugin gets, whatever the status.
// Without a handler there is no Navidrome, and every call fails.
//
// A manifest without allowAdmins has the host ask first who the user is: with getUser. Where
// the handler answers that with 404, as an http.ServeMux does by itself, the user exists and
// is no admin.
func (h *Host) Subsonic(handler http.Handler) {
	h.t.Helper()
	if h.manifest.Permissions.SubsonicAPI == nil {
		h.fail("the manifest has no permission subsonicapi")
	}
	c := h.subsonicConfig
	c.Navidrome = h.navidrome.open(handler, h.log)
	h.subsonic.Store(subsonicapi.New(c))
}

// currentSubsonic calls the Navidrome of the moment.
type currentSubsonic struct{ host *Host }

// Call implements subsonicapi.Caller.
func (c currentSubsonic) Call(ctx context.Context, request *apisubsonicapi.CallRequest) (*apisubsonicapi.CallResponse, error) {
	return c.host.subsonic.Load().Call(ctx, request)
}

// Refuse implements subsonicapi.Caller.
func (c currentSubsonic) Refuse(ctx context.Context, err error) *apisubsonicapi.CallResponse {
	return c.host.subsonic.Load().Refuse(ctx, err)
}

// maxAnswer is the largest answer of Navidrome, in bytes.
const maxAnswer = 10 << 20

// navidromes are the handlers that are, or were, Navidrome.
type navidromes struct {
	mu    sync.Mutex
	sites []*site
}

func (n *navidromes) open(handler http.Handler, log *testLog) navidrome.Subsonic {
	n.mu.Lock()
	defer n.mu.Unlock()
	site := newSite(handler, log)
	n.sites = append(n.sites, site)
	return fakeNavidrome{site}
}

// close waits for requests in flight, or for ctx.
func (n *navidromes) close(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var errs []error
	for _, site := range n.sites {
		errs = append(errs, site.close(ctx))
	}
	return errors.Join(errs...)
}

// fakeNavidrome is a handler that is Navidrome.
type fakeNavidrome struct{ site *site }

// Subsonic implements navidrome.Subsonic.
func (n fakeNavidrome) Subsonic(ctx context.Context, r navidrome.SubsonicRequest) ([]byte, error) {
	address := url.URL{Scheme: "http", Host: "navidrome", Path: "/rest/" + r.Endpoint, RawPath: "/rest/" + url.PathEscape(r.Endpoint), RawQuery: navidrome.EncodeQuery(r.Query)}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Remote-User", r.User)
	response, err := n.site.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", navidrome.ErrUnavailable, err)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, fmt.Errorf("%w: %w", navidrome.ErrUnavailable, err)
	}
	if r.Endpoint == "getUser" && response.StatusCode == http.StatusNotFound {
		name, err := json.Marshal(r.Query.Get("username"))
		return fmt.Appendf(nil, `{"subsonic-response":{"status":"ok","version":"1.16.1","user":{"username":%s,"adminRole":false}}}`, name), err
	}
	return body, nil
}
