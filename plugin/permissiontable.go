package plugin

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// permissionTable has a row for each permission, in the order in which permissions are told. Whatever treats all
// permissions alike goes through it.
func permissionTable() []permissionRow {
	return []permissionRow{
		rowOf("http", parseHTTP, func(p *Permissions) **HTTPPermission { return &p.HTTP }),
		rowOf("config", parsePermission, func(p *Permissions) **Permission { return &p.Config }),
		rowOf("scheduler", parsePermission, func(p *Permissions) **Permission { return &p.Scheduler }),
		rowOf("websocket", parseWebSocket, func(p *Permissions) **WebSocketPermission { return &p.WebSocket }),
		rowOf("cache", parsePermission, func(p *Permissions) **Permission { return &p.Cache }),
		rowOf("artwork", parsePermission, func(p *Permissions) **Permission { return &p.Artwork }),
		rowOf("subsonicapi", parseSubsonicAPI, func(p *Permissions) **SubsonicAPIPermission { return &p.SubsonicAPI }),
	}
}

// permissionRow is one permission: its key in a manifest, how it is read from there, and what is granted by it, which is nil
// if nothing is.
type permissionRow struct {
	key   string
	parse func(object map[string]any, into *Permissions)
	of    func(*Permissions) grant
}

// grant is a permission that is granted.
type grant interface {
	// reason is why the plugin needs it.
	reason() string
	// details are its settings, for people.
	details() []Detail
	// beyond adds what its settings allow that those before, or none at all, did not.
	beyond(before grant, add adding)
}

// adding adds a line to what is granted.
type adding func(format string, args ...any)

// rowOf makes a row of the field that a permission has in Permissions.
func rowOf[P any, G interface {
	*P
	grant
}](key string, parse func(object map[string]any) P, field func(*Permissions) **P) permissionRow {
	return permissionRow{
		key: key,
		parse: func(object map[string]any, into *Permissions) {
			permission := parse(object)
			*field(into) = &permission
		},
		of: func(p *Permissions) grant {
			if permission := *field(p); permission != nil {
				return G(permission)
			}
			return nil
		},
	}
}

// Detail is a setting of a permission as people read it.
type Detail struct {
	// Name is what the setting says.
	Name string
	// Value is the value of one that is no list, and List the elements of one that is.
	Value string
	List  []string
}

// Granted returns the keys of the granted permissions, always in the order http, config, scheduler, websocket, cache,
// artwork, subsonicapi.
func (p Permissions) Granted() []string {
	var keys []string
	for _, row := range permissionTable() {
		if row.of(&p) != nil {
			keys = append(keys, row.key)
		}
	}
	return keys
}

// Reason is why the plugin asks for a permission, and "" if it is not granted.
func (p Permissions) Reason(key string) string {
	if granted := p.grant(key); granted != nil {
		return granted.reason()
	}
	return ""
}

// Details are the settings of a permission that is granted.
func (p Permissions) Details(key string) []Detail {
	if granted := p.grant(key); granted != nil {
		return granted.details()
	}
	return nil
}

func (p Permissions) grant(key string) grant {
	for _, row := range permissionTable() {
		if row.key == key {
			return row.of(&p)
		}
	}
	return nil
}

func parsePermission(object map[string]any) Permission {
	return Permission{Reason: asString(object["reason"])}
}

func parseHTTP(object map[string]any) HTTPPermission {
	allowed := map[string][]string{}
	for pattern, methods := range asObject(object["allowedUrls"]) {
		allowed[pattern] = asStrings(methods)
	}
	return HTTPPermission{
		Reason:            asString(object["reason"]),
		AllowedURLs:       allowed,
		AllowLocalNetwork: asBool(object["allowLocalNetwork"]),
	}
}

func parseWebSocket(object map[string]any) WebSocketPermission {
	return WebSocketPermission{
		Reason:            asString(object["reason"]),
		AllowedURLs:       asStrings(object["allowedUrls"]),
		AllowLocalNetwork: asBool(object["allowLocalNetwork"]),
	}
}

func parseSubsonicAPI(object map[string]any) SubsonicAPIPermission {
	return SubsonicAPIPermission{
		Reason:           asString(object["reason"]),
		AllowedUsernames: asStrings(object["allowedUsernames"]),
		AllowAdmins:      asBool(object["allowAdmins"]),
	}
}

func (p *Permission) reason() string            { return p.Reason }
func (p *HTTPPermission) reason() string        { return p.Reason }
func (p *WebSocketPermission) reason() string   { return p.Reason }
func (p *SubsonicAPIPermission) reason() string { return p.Reason }

func (*Permission) details() []Detail { return nil }

func (p *HTTPPermission) details() []Detail {
	var rules []string
	for _, pattern := range slices.Sorted(maps.Keys(p.AllowedURLs)) {
		rules = append(rules, pattern+": "+strings.Join(p.AllowedURLs[pattern], ", "))
	}
	return []Detail{{Name: "Allow Local Network", Value: fmt.Sprint(p.AllowLocalNetwork)}, {Name: "Allowed URLs", List: rules}}
}

func (p *WebSocketPermission) details() []Detail {
	return []Detail{{Name: "Allow Local Network", Value: fmt.Sprint(p.AllowLocalNetwork)}, {Name: "Allowed URLs", List: p.AllowedURLs}}
}

func (p *SubsonicAPIPermission) details() []Detail {
	users := "All Users"
	if len(p.AllowedUsernames) > 0 {
		users = strings.Join(p.AllowedUsernames, ", ")
	}
	return []Detail{{Name: "Allow Admins", Value: fmt.Sprint(p.AllowAdmins)}, {Name: "Allowed Usernames", Value: "[" + users + "]"}}
}
