package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/sdk/tokenstore"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// tokenCommand runs commands for tokens at a server.
func tokenCommand(t *testing.T, url string) func(args ...string) result {
	return func(args ...string) result {
		return pluginhost(t.Context(), "", append([]string{"token"}, append(args, "--nats", url)...)...)
	}
}

// A deployed operator does all of it; the replica has made the bucket.
func TestTokensAreMadeListedAndRevoked(t *testing.T) {
	as := testenv.DeployedNATS(t)
	testenv.StartProcess(t, "--nats", as("host"), "--plugins", t.TempDir(), "--data", testenv.DataFolder(t), "--http", "")
	command := tokenCommand(t, as("operator"))
	js, err := jetstream.New(testenv.Connect(t, as("host"), nats.CustomInboxPrefix(subjects.InboxPrefix)))
	if err != nil {
		t.Fatal(err)
	}
	store, err := tokenstore.Open(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}

	made := command("create", "--user", "joe", "--user-id", "u1", "--scope", "scrobble,view", "--expires", "90d", "--plugin", "lastfm")
	secret := strings.TrimSuffix(made.out, "\n")
	found, err := store.Find(t.Context(), secret)
	if made.code != exitDone || err != nil {
		t.Fatalf("%+v, %v", made, err)
	}
	if left := time.Until(found.Expires); found.User != "joe" || found.UserID != "u1" || found.Plugin != "lastfm" || !found.Allows(subjects.ScopeView) || left < 89*24*time.Hour || left > 90*24*time.Hour {
		t.Errorf("%+v", found)
	}
	if !strings.Contains(made.err, "pluginhost token revoke "+found.ID) || !strings.Contains(made.err, "joe") || strings.Contains(made.err, secret) {
		t.Errorf("it says %q", made.err)
	}

	var document struct {
		V         int
		Token, ID string
		Scopes    []string
		Expires   string
	}
	made = command("create", "--scope", "call", "--json")
	if err := json.Unmarshal([]byte(made.out), &document); err != nil || document.V != 1 || !subjects.IsAccessToken(document.Token) || len(document.Scopes) != 1 || document.Expires != "" {
		t.Errorf("%+v, %v", made, err)
	}

	listed := command("list")
	for _, want := range []string{found.ID, "joe", "scrobble,view", "lastfm", document.ID, "call"} {
		if !strings.Contains(listed.out, want) {
			t.Errorf("no %s in\n%s", want, listed.out)
		}
	}
	inJSON := command("list", "--json")
	var list tokenListDocument
	if err := json.Unmarshal([]byte(inJSON.out), &list); err != nil || len(list.Tokens) != 2 || list.Tokens[0].ID != found.ID {
		t.Errorf("%+v, %v", inJSON, err)
	}
	for _, secret := range []string{secret, document.Token} {
		if strings.Contains(fmt.Sprint(listed, inJSON), secret[len(subjects.AccessTokenPrefix):]) || strings.Contains(inJSON.out, subjects.AccessTokenKey(secret)) {
			t.Error("a list tells a secret, or its hash")
		}
	}

	if got, want := command("revoke", found.ID), (result{exitDone, "revoked " + found.ID + "\n", ""}); got != want {
		t.Errorf("%+v", got)
	}
	if _, err := store.Find(t.Context(), secret); err == nil {
		t.Error("it is still good")
	}
	if got := command("revoke", found.ID); got.code != exitFailure || !strings.Contains(got.err, "pluginhost token list") {
		t.Errorf("again: %+v", got)
	}
	if got := command("revoke", document.ID, "--json"); got.code != exitDone || !strings.Contains(got.out, fmt.Sprintf(`"revoked": %q`, document.ID)) {
		t.Errorf("%+v", got)
	}
	if got := command("list", "--json"); got.code != exitDone || !strings.Contains(got.out, `"tokens": []`) {
		t.Errorf("afterwards: %+v", got)
	}
	if got := command("revoke", secret); got.code != exitUsage || strings.Contains(got.err, secret) {
		t.Errorf("revoke the token itself: %+v", got)
	}
	refused := tokenCommand(t, as("navidrome"))
	for _, args := range [][]string{{"list"}, {"create", "--user", "joe", "--scope", "scrobble"}, {"revoke", found.ID}} {
		if got := refused(append(args, "--inbox-prefix", "_INBOX_navidrome")...); got.code != exitFailure || !strings.Contains(got.err, "refuses this user") {
			t.Errorf("%s as navidrome: %+v", args[0], got)
		}
	}
}

func TestTokensThatCannotBeMadeSayWhy(t *testing.T) {
	t.Parallel()
	const create = "create --user joe --scope scrobble"
	url := testenv.NATS(t)
	for args, want := range map[string]string{
		"create --user joe":                              "no scope",
		"create --user-id u1 --scope scrobble":           "the id of a user and no name",
		"create --scope all":                             `unknown scope "all"`,
		create + " --expires 90":                         "90d",
		create + " --expires 9999999999d":                "90d",
		create + " --expires -1h":                        "more than a second",
		create + " --plugin " + strings.Repeat("p", 256): "id of the plugin",
		create + " now":                                  "takes",
		"revoke":                                         "takes",
		"revoke joe":                                     "token list",
	} {
		if got := tokenCommand(t, url)(strings.Fields(args)...); got.code != exitUsage || !strings.Contains(got.err, want) {
			t.Errorf("%.80s: %+v, want %q", args, got, want)
		}
	}
	if got := tokenCommand(t, url)(strings.Fields(create)...); got.code != exitFailure || !strings.Contains(got.err, "start a replica") {
		t.Errorf("where no replica has been: %+v", got)
	}
	if got := tokenCommand(t, url)("list"); got.code != exitDone {
		t.Errorf("where no replica has been: %+v", got)
	}
	without := testenv.NATS(t, func(o *server.Options) { o.JetStream = false })
	if got := tokenCommand(t, without)(strings.Fields(create)...); got.code != exitFailure || !strings.Contains(got.err, "no JetStream") {
		t.Errorf("without JetStream: %+v", got)
	}
}

func TestTimesInDays(t *testing.T) {
	for text, want := range map[string]time.Duration{"12h": 12 * time.Hour, "90d": 90 * 24 * time.Hour, "1h30m": 90 * time.Minute, "1s": 0, "0d": 0, "-3d": 0, "1.5d": 0, "d": 0, "": 0, "106752d": 0, "90 d": 0} {
		got, err := parseLong(text)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
