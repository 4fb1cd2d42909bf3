package subjects

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// AccessTokenBucket is the KV bucket of access tokens: what HTTP clients show to be let in. A
	// [Token] is something else.
	AccessTokenBucket = "pluginhost-tokens"
	// AccessTokenPrefix begins the secret of each, so that one that is found somewhere is known for
	// what it is. 52 lower-case letters and digits from 2 to 7 follow, which are 256 random bits in base32.
	AccessTokenPrefix = "ph_"
	// MaxAccessTokenText bounds the names and ids in an AccessTokenRecord, in bytes.
	MaxAccessTokenText = 255

	// accessTokenID is how many characters of a key are the public id.
	accessTokenID = 12
)

// AccessScope is what a token lets its bearer do.
type AccessScope string

// The scopes.
const (
	ScopeScrobble AccessScope = "scrobble" // hand over plays: as the user of the token or, with a token of no user, as any
	ScopeCall     AccessScope = "call"     // call methods of plugins
	ScopeView     AccessScope = "view"     // see what operators see
	ScopeAdmin    AccessScope = "admin"    // change it
)

// AccessScopes are all that there are.
func AccessScopes() []AccessScope {
	return []AccessScope{ScopeScrobble, ScopeCall, ScopeView, ScopeAdmin}
}

// AccessTokenGrant is what a token is good for.
type AccessTokenGrant struct {
	// User is the name of the user that its bearer is; empty is nobody in particular, such as a music server, which acts for all.
	User string `json:"user,omitempty"`
	// UserID is the music server's id of the user; empty is unknown.
	UserID string `json:"user_id,omitempty"`
	// Scopes are what it lets its bearer do: at least one.
	Scopes []AccessScope `json:"scopes"`
	// Plugin is the id of the only plugin that it is for; empty is all.
	Plugin string `json:"plugin,omitempty"`
	// Expires is when it ends; zero is never.
	Expires time.Time `json:"expires,omitzero"`
}

// Allows says whether it has a scope.
func (g *AccessTokenGrant) Allows(scope AccessScope) bool { return slices.Contains(g.Scopes, scope) }

// Expired says whether it has ended at a time.
func (g *AccessTokenGrant) Expired(now time.Time) bool {
	return !g.Expires.IsZero() && !now.Before(g.Expires)
}

// Check returns what is wrong with it, or nil.
func (g *AccessTokenGrant) Check() error {
	for what, text := range map[string]string{"name of the user": g.User, "id of the user": g.UserID, "id of the plugin": g.Plugin} {
		if len(text) > MaxAccessTokenText || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return fmt.Errorf("the %s is no text of at most %d bytes without control characters", what, MaxAccessTokenText)
		}
	}
	if len(g.Scopes) == 0 {
		return fmt.Errorf("it has no scope: want some of %v", AccessScopes())
	}
	for i, scope := range g.Scopes {
		if !slices.Contains(AccessScopes(), scope) {
			return fmt.Errorf("unknown scope %.40q: want some of %v", string(scope), AccessScopes())
		}
		if slices.Contains(g.Scopes[:i], scope) {
			return fmt.Errorf("the scope %s is there twice", scope)
		}
	}
	if g.User == "" && g.UserID != "" {
		return fmt.Errorf("it has the id of a user and no name: the name is needed with it")
	}
	return nil
}

// AccessTokenRecord is a token, in AccessTokenBucket. Nothing in it leads to the secret.
type AccessTokenRecord struct {
	// V is Version.
	V int `json:"v"`
	// ID is what operators call it: [AccessTokenID] of its key.
	ID string `json:"id"`
	// AccessTokenGrant is what it is good for.
	AccessTokenGrant
	// Created is when it was made.
	Created time.Time `json:"created"`
	// LastUsed is when somebody has shown it, to the hour; zero is never.
	LastUsed time.Time `json:"last_used,omitzero"`
}

// ParseAccessTokenRecord reads and checks the record under a key of AccessTokenBucket. Its error names the
// token by its id.
func ParseAccessTokenRecord(key string, body []byte) (AccessTokenRecord, error) {
	id := AccessTokenID(key)
	var r AccessTokenRecord
	if err := json.Unmarshal(body, &r); err != nil {
		return r, fmt.Errorf("the record of token %s: %w", id, err)
	}
	err := r.Check()
	switch {
	case r.V != Version:
		err = fmt.Errorf("its version is %d, not %d", r.V, Version)
	case r.ID != id:
		err = fmt.Errorf("its id is not that of the key")
	}
	if err != nil {
		return r, fmt.Errorf("the record of token %s: %w", id, err)
	}
	return r, nil
}

var (
	accessToken        = regexp.MustCompile(`^` + AccessTokenPrefix + `[a-z2-7]{52}$`)
	accessTokenKey     = regexp.MustCompile(`^[0-9a-f]{64}$`)
	accessTokenIDShape = regexp.MustCompile(`^[0-9a-f]{12}$`)
)

// IsAccessToken says whether a text can be the secret of a token.
func IsAccessToken(text string) bool { return accessToken.MatchString(text) }

// AccessTokenKey is the key in AccessTokenBucket of the token with a secret: its SHA-256 in hex.
func AccessTokenKey(secret string) string { return Hash(secret) }

// IsAccessTokenKey says whether a text can be such a key.
func IsAccessTokenKey(text string) bool { return accessTokenKey.MatchString(text) }

// AccessTokenID is the public id of the token with a key: its first 12 characters, which a record that
// cannot be read has as well.
func AccessTokenID(key string) string { return key[:min(accessTokenID, len(key))] }

// IsAccessTokenID says whether a text can be such an id.
func IsAccessTokenID(text string) bool { return accessTokenIDShape.MatchString(text) }
