package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/pluginhost/pluginhost/subjects"
)

// destination is what a path leads to.
type destination int

const (
	toOpenAPI destination = iota
	toPlugins
	toPlugin
	toCall
	toAgents
	toScrobbles
	toNowPlaying
)

// place is where a request goes.
type place struct {
	what destination
	// plugin is the id of a plugin; empty is that the path names none.
	plugin string
	// name is that of a method of plugins.
	name string
}

// method is the one of HTTP that a place takes.
func (p place) method() string {
	switch p.what {
	case toOpenAPI, toPlugins, toPlugin:
		return http.MethodGet
	default:
		return http.MethodPost
	}
}

// scopes are those of which a token needs one; none is that any will do.
func (p place) scopes() []subjects.AccessScope {
	switch p.what {
	case toCall, toAgents:
		return []subjects.AccessScope{subjects.ScopeCall}
	case toScrobbles, toNowPlaying:
		return []subjects.AccessScope{subjects.ScopeScrobble}
	case toPlugins, toPlugin:
		return []subjects.AccessScope{subjects.ScopeView, subjects.ScopeAdmin}
	default:
		return nil
	}
}

// allow refuses what a token is not for.
func allow(grant subjects.AccessTokenGrant, at place) error {
	if scopes := at.scopes(); len(scopes) > 0 && !slices.ContainsFunc(scopes, grant.Allows) {
		return refusef(http.StatusForbidden, subjects.NameForbidden, "the token does not have the scope %s: make one with pluginhost token create --scope %s", scopes[0], scopes[0])
	}
	if grant.Plugin == "" {
		return nil
	}
	switch {
	case at.plugin != "" && at.plugin != grant.Plugin:
		return refusef(http.StatusForbidden, subjects.NameForbidden, "the token is for plugin %s only", grant.Plugin)
	case at.what == toAgents:
		return refusef(http.StatusForbidden, subjects.NameForbidden, "the token is for plugin %s only: ask %s/%s/METHOD", grant.Plugin, subjects.HTTPPlugins, url.PathEscape(grant.Plugin))
	}
	return nil
}

// route reads a path as it was sent, with its escapes.
func route(path string) (place, error) {
	const before = "/v1/"
	rest, is := strings.CutPrefix(path, before)
	if !is || strings.Count(rest, "/") > 2 {
		return place{}, noSuchPath()
	}
	parts := strings.Split(rest, "/")
	for i, part := range parts {
		decoded, err := url.PathUnescape(part)
		if err != nil || decoded == "" {
			return place{}, noSuchPath()
		}
		parts[i] = decoded
	}
	switch first, n := before+parts[0], len(parts); {
	case first == subjects.HTTPOpenAPI && n == 1:
		return place{what: toOpenAPI}, nil
	case first == subjects.HTTPPlugins && n == 1:
		return place{what: toPlugins}, nil
	case first == subjects.HTTPPlugins && n == 2:
		return named(place{what: toPlugin, plugin: parts[1]})
	case first == subjects.HTTPPlugins:
		return named(place{what: toCall, plugin: parts[1], name: parts[2]})
	case first == subjects.HTTPAgents && n == 2:
		return place{what: toAgents, name: parts[1]}, nil
	case first == subjects.HTTPScrobbles && n == 1:
		return place{what: toScrobbles}, nil
	case first == subjects.HTTPScrobbles && n == 2:
		return named(place{what: toScrobbles, plugin: parts[1]})
	case first == subjects.HTTPNowPlaying && n == 1:
		return place{what: toNowPlaying}, nil
	case first == subjects.HTTPNowPlaying && n == 2:
		return named(place{what: toNowPlaying, plugin: parts[1]})
	default:
		return place{}, noSuchPath()
	}
}

// named is a place whose plugin can be one.
func named(at place) (place, error) {
	if len(at.plugin) > subjects.MaxID {
		return place{}, subjects.Errorf(subjects.ErrBadRequest, "the plugin id has %d bytes, the limit is %d", len(at.plugin), subjects.MaxID)
	}
	return at, nil
}

func noSuchPath() error {
	return refusef(http.StatusNotFound, subjects.NameNoSuchPath, "nothing is at this path: %s has all that there are", subjects.HTTPOpenAPI)
}
