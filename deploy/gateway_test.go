package deploy_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
)

// gatewayWorks checks that a replica answers over HTTP what it may ask over NATS. Its plugin echo is there.
func gatewayWorks(t *testing.T, operator, address string) {
	t.Helper()
	token, _, err := client.New(connectAs(t, operator)).CreateAccessToken(t.Context(), subjects.AccessTokenGrant{
		Scopes: []subjects.AccessScope{subjects.ScopeCall, subjects.ScopeScrobble, subjects.ScopeView},
	})
	if err != nil {
		t.Fatal(err)
	}
	const track = `"username":"joe","track":{"name":"Sinnerman"}`
	for _, c := range []struct{ method, path, body, want string }{
		{http.MethodPost, subjects.HTTPPlugins + "/echo/get_artist_biography", `{"id":"x"}`, `200 {"biography":"x"}`},
		{http.MethodPost, subjects.HTTPPlugins + "/nobody/get_artist_biography", `{}`, `503 {"v":1,"code":503,"name":"unavailable","error":"plugin nobody is on no replica`},
		{http.MethodPost, subjects.HTTPScrobbles, `{"timestamp":"1795977473",` + track + `}`, `202 {"v":1}`},
		{http.MethodPost, subjects.HTTPNowPlaying, `{` + track + `}`, `204 `},
		{http.MethodGet, subjects.HTTPPlugins, "", `200 {"v":1,"plugins":[{"id":`},
		{http.MethodGet, subjects.HTTPPlugins + "/echo", "", `200 {"v":1,"id":"echo","replicas":[{`},
	} {
		request, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+address+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Content-Type", subjects.ContentTypeJSON)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if got := fmt.Sprintf("%d %s", response.StatusCode, body); err != nil || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s %s: %.300s, %v, want %s", c.method, c.path, got, err, c.want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
