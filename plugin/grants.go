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
	for _, row := range permissionTable() {
		if granted := row.of(&p); granted != nil {
			granted.beyond(row.of(&before), add)
		}
	}
	return more
}

func (*Permission) beyond(grant, adding) {} // it has no settings

func (p *HTTPPermission) beyond(before grant, add adding) {
	var was HTTPPermission
	if before, had := before.(*HTTPPermission); had {
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

func (p *WebSocketPermission) beyond(before grant, add adding) {
	var was WebSocketPermission
	if before, had := before.(*WebSocketPermission); had {
		was = *before
	}
	for _, pattern := range beyond(p.AllowedURLs, was.AllowedURLs) {
		add("websocket: %s", pattern)
	}
	if p.AllowLocalNetwork && !was.AllowLocalNetwork {
		add("websocket: the local network")
	}
}

func (p *SubsonicAPIPermission) beyond(before grant, add adding) {
	var was SubsonicAPIPermission
	if before, had := before.(*SubsonicAPIPermission); had {
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
