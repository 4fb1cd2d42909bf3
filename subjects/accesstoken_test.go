package subjects_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/subjects"
)

var (
	anAccessToken = subjects.AccessTokenPrefix + strings.Repeat("a2", 26)
	aTokenKey     = subjects.AccessTokenKey(anAccessToken)
)

func aTokenRecord() subjects.AccessTokenRecord {
	return subjects.AccessTokenRecord{
		V: subjects.Version, ID: subjects.AccessTokenID(aTokenKey),
		AccessTokenGrant: subjects.AccessTokenGrant{User: "joe", Scopes: []subjects.AccessScope{subjects.ScopeScrobble}, Expires: time.Unix(2e9, 0).UTC()},
		Created:          time.Unix(1e9, 0).UTC(),
	}
}

func TestRecordsOfAccessTokensAreChecked(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*subjects.AccessTokenRecord)
		want   string // empty is that it is right
	}{
		"as it is":              {func(*subjects.AccessTokenRecord) {}, ""},
		"of another version":    {func(r *subjects.AccessTokenRecord) { r.V = 2 }, "version is 2"},
		"of another key":        {func(r *subjects.AccessTokenRecord) { r.ID = "0123456789ab" }, "not that of the key"},
		"without a scope":       {func(r *subjects.AccessTokenRecord) { r.Scopes = nil }, "no scope"},
		"with an unknown scope": {func(r *subjects.AccessTokenRecord) { r.Scopes[0] = "everything" }, `unknown scope "everything"`},
		"with a scope twice":    {func(r *subjects.AccessTokenRecord) { r.Scopes = append(r.Scopes, r.Scopes...) }, "twice"},
		"with all scopes":       {func(r *subjects.AccessTokenRecord) { r.Scopes = subjects.AccessScopes() }, ""},
		"of an id alone":        {func(r *subjects.AccessTokenRecord) { r.User, r.UserID = "", "u1" }, "the id of a user and no name"},
		"of nobody, to view":    {func(r *subjects.AccessTokenRecord) { r.User, r.Scopes[0] = "", subjects.ScopeView }, ""},
		"a long name":           {func(r *subjects.AccessTokenRecord) { r.User = strings.Repeat("j", 256) }, "name of the user"},
		"a long id":             {func(r *subjects.AccessTokenRecord) { r.UserID = strings.Repeat("j", 256) }, "id of the user"},
		"a line in an id":       {func(r *subjects.AccessTokenRecord) { r.Plugin = "a\nb" }, "id of the plugin"},
	} {
		t.Run(name, func(t *testing.T) {
			record := aTokenRecord()
			test.change(&record)
			body, err := json.Marshal(record)
			if err != nil {
				t.Fatal(err)
			}
			got, err := subjects.ParseAccessTokenRecord(aTokenKey, body)
			if test.want == "" && (err != nil || !reflect.DeepEqual(got, record)) {
				t.Errorf("%+v, %v", got, err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), subjects.AccessTokenID(aTokenKey))) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), aTokenKey) {
				t.Errorf("the error has the key: %v", err)
			}
		})
	}
}

func TestTheShapeOfAccessTokens(t *testing.T) {
	for text, want := range map[string]bool{
		anAccessToken:                  true,
		"":                             false,
		anAccessToken[1:]:              false,
		anAccessToken + "a":            false,
		anAccessToken + "\n":           false,
		strings.ToUpper(anAccessToken): false,
		" " + anAccessToken:            false,
		strings.Replace(anAccessToken, "2", "1", 1): false,
	} {
		if got := subjects.IsAccessToken(text); got != want {
			t.Errorf("%q: got %t", text, got)
		}
	}
}

func TestAnAccessTokenEndsWhenItExpires(t *testing.T) {
	grant := aTokenRecord().AccessTokenGrant
	if grant.Expired(grant.Expires.Add(-1)) || !grant.Expired(grant.Expires) {
		t.Error("it does not end at its end")
	}
	if grant.Expires = (time.Time{}); grant.Expired(time.Unix(9e9, 0)) {
		t.Error("what has no end ends")
	}
}

func FuzzParseAccessTokenRecord(f *testing.F) {
	body, err := json.Marshal(aTokenRecord())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add([]byte(`{"v":1}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, body []byte) {
		record, err := subjects.ParseAccessTokenRecord(aTokenKey, body)
		if err != nil {
			return
		}
		again, err := json.Marshal(record)
		if err != nil {
			return // a time that JSON does not have
		}
		if got, err := subjects.ParseAccessTokenRecord(aTokenKey, again); err != nil || got.ID != record.ID || got.User != record.User || !got.Expires.Equal(record.Expires) {
			t.Errorf("%s became %s: %v", body, again, err)
		}
	})
}
