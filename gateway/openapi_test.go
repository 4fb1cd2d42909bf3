package gateway_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/sdk/api/schema"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

func TestTheDescriptionDescribesWhatTheGatewayDoes(t *testing.T) {
	t.Parallel()
	h := open(t, func(c *config.Config) { add(t, c, "probe", guests.Wasm(t, guests.Probe), "MetadataAgent", "Scrobbler") })
	got := h.ask(request{method: http.MethodGet, path: subjects.HTTPOpenAPI})
	loader := openapi3.NewLoader()
	document, err := loader.LoadFromData([]byte(got.body))
	if err != nil {
		t.Fatalf("%v: %.500s", err, got.body)
	}
	if err := document.Validate(loader.Context); err != nil {
		t.Fatal(err)
	}
	for _, capability := range schema.Navidrome058().Capabilities() {
		for _, method := range capability.Methods {
			if is := document.Paths.Value(subjects.HTTPPlugins+"/{id}/"+method.Name) != nil; is != (capability.Kind == schema.KindCall) {
				t.Errorf("%s is described: %t", method.Name, is)
			}
		}
	}
	router, err := legacy.NewRouter(document)
	if err != nil {
		t.Fatal(err)
	}
	requests := append(everywhere("probe"),
		request{path: path("probe", biography), kind: asJSON, body: `{"name":"Nina"}`},
		request{path: path("probe", biography), kind: asJSON, body: `{"name":"panic"}`},
		request{path: path("probe", biography), kind: asJSON, body: `{"name":"loop"}`, header: map[string]string{subjects.HeaderTimeout: "50ms"}},
		request{path: path("probe", biography), kind: asJSON, body: `{}`, token: "none"},
		request{path: path("probe", "get_similar_artists"), kind: asJSON, body: `{"limit":3}`},
		request{path: path("probe", "get_artist_images"), kind: asJSON, body: `{}`},
		request{path: path("probe", "get_album_info"), kind: asJSON, body: `{"name":"n","artist":"a"}`},
		request{path: path("probe", "get_artist_top_songs"), kind: asJSON, body: `{}`},
		request{path: path("nobody", biography), kind: asJSON, body: `{}`},
	)
	for _, r := range requests {
		t.Run(r.method+" "+r.path, func(t *testing.T) {
			got := h.ask(r)
			if r.method == "" {
				r.method = http.MethodPost
			}
			sent, err := http.NewRequestWithContext(t.Context(), r.method, r.path, bytes.NewReader([]byte(r.body)))
			if err != nil {
				t.Fatal(err)
			}
			sent.Header.Set("Content-Type", r.kind)
			route, parameters, err := router.FindRoute(sent)
			if err != nil {
				t.Fatal(err)
			}
			asked := &openapi3filter.RequestValidationInput{
				Request: sent, Route: route, PathParams: parameters,
				Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true},
			}
			if err := openapi3filter.ValidateRequest(t.Context(), asked); err != nil {
				t.Errorf("the request: %v", err)
			}
			if err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
				RequestValidationInput: asked, Status: got.status, Header: got.header, Body: io.NopCloser(bytes.NewReader([]byte(got.body))), Options: asked.Options,
			}); err != nil {
				t.Errorf("the answer %d: %v", got.status, err)
			}
		})
	}
}
