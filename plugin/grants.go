package plugin

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Beyond lists, one a line, what these permissions grant that the ones before did not: what an operator is asked about
// before a plugin is updated, and told after one is installed.
func (p Permissions) Beyond(before Permissions) []string {
	var more []string
	add := func(format string, args ...any) { more = append(more, fmt.Sprintf(format, args...)) }
	for _, key := range p.Granted() {
		if !slices.Contains(before.Granted(), key) {
			add("%s: %s", key, p.Reason(key))
		}
	}
	if p.HTTP != nil {
		p.HTTP.beyond(before.HTTP, add)
	}
	if p.WebSocket != nil {
		p.WebSocket.beyond(before.WebSocket, add)
	}
	if p.SubsonicAPI != nil {
		p.SubsonicAPI.beyond(before.SubsonicAPI, add)
	}
	return more
}

// adding adds a line to what is granted.
type adding func(format string, args ...any)

func (p *HTTPPermission) beyond(before *HTTPPermission, add adding) {
	var was HTTPPermission
	if before != nil {
		was = *before
	}
	for _, pattern := range slices.Sorted(maps.Keys(p.AllowedURLs)) {
		before := was.AllowedURLs[pattern]
		if methods := beyond(p.AllowedURLs[pattern], before); len(methods) > 0 && !slices.Contains(before, "*") {
			add("http: %s %s", strings.Join(methods, ", "), pattern)
		}
	}
	// The most specific pattern decides, so one that is gone may have kept a wider one out.
	for _, pattern := range slices.Sorted(maps.Keys(was.AllowedURLs)) {
		if _, stays := p.AllowedURLs[pattern]; !stays && hasWildcard(p.AllowedURLs) {
			add("http: %s, which had a rule of its own, as the wider patterns allow", pattern)
		}
	}
	if p.AllowLocalNetwork && !was.AllowLocalNetwork {
		add("http: the local network")
	}
}

func (p *WebSocketPermission) beyond(before *WebSocketPermission, add adding) {
	var was WebSocketPermission
	if before != nil {
		was = *before
	}
	for _, pattern := range beyond(p.AllowedURLs, was.AllowedURLs) {
		add("websocket: %s", pattern)
	}
	if p.AllowLocalNetwork && !was.AllowLocalNetwork {
		add("websocket: the local network")
	}
}

func (p *SubsonicAPIPermission) beyond(before *SubsonicAPIPermission, add adding) {
	var was SubsonicAPIPermission
	if before != nil {
		was = *before
	}
	all, wereAll := len(p.AllowedUsernames) == 0, before != nil && len(was.AllowedUsernames) == 0
	switch {
	case all && !wereAll:
		add("subsonicapi: all users")
	case !all && !wereAll:
		for _, user := range beyond(p.AllowedUsernames, was.AllowedUsernames) {
			add("subsonicapi: user %s", user)
		}
	}
	if p.AllowAdmins && !was.AllowAdmins {
		add("subsonicapi: administrators")
	}
}

func hasWildcard(allowed map[string][]string) bool {
	for pattern := range allowed {
		if strings.Contains(pattern, "*") {
			return true
		}
	}
	return false
}

// beyond are the elements of now that were not there before.
func beyond(now, before []string) []string {
	var more []string
	for _, element := range now {
		if !slices.Contains(before, element) {
			more = append(more, element)
		}
	}
	return more
}

// Reason is why the plugin asks for a permission that is granted.
func (p Permissions) Reason(key string) string {
	switch key {
	case "http":
		return p.HTTP.Reason
	case "websocket":
		return p.WebSocket.Reason
	case "subsonicapi":
		return p.SubsonicAPI.Reason
	case "config":
		return p.Config.Reason
	case "scheduler":
		return p.Scheduler.Reason
	case "cache":
		return p.Cache.Reason
	default:
		return p.Artwork.Reason
	}
}
