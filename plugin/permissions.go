package plugin

// Permissions are the host services a plugin asks for; nil is not granted.
type Permissions struct {
	// HTTP grants requests to HTTP servers.
	HTTP *HTTPPermission `json:"http,omitempty"`
	// Config grants reading the plugin's own configuration. OnInit gets it without.
	Config *Permission `json:"config,omitempty"`
	// Scheduler grants scheduling callbacks and reading the time.
	Scheduler *Permission `json:"scheduler,omitempty"`
	// WebSocket grants WebSocket connections.
	WebSocket *WebSocketPermission `json:"websocket,omitempty"`
	// Cache grants storing values for a while.
	Cache *Permission `json:"cache,omitempty"`
	// Artwork grants making URLs of artwork.
	Artwork *Permission `json:"artwork,omitempty"`
	// SubsonicAPI grants calling the Subsonic API on behalf of a user.
	SubsonicAPI *SubsonicAPIPermission `json:"subsonicapi,omitempty"`

	// Unknown has the keys, sorted, of permissions this host does not have. They are not granted.
	Unknown []string `json:"-"`
}

// Permission is one that has no settings.
type Permission struct {
	// Reason is why the plugin needs it, never empty. So it is in the other permission types.
	Reason string `json:"reason"`
}

// HTTPPermission says which HTTP requests a plugin may make.
type HTTPPermission struct {
	Reason string `json:"reason"`
	// AllowedURLs has at least one URL pattern and the methods allowed there: upper-case, or "*" for any; none if empty.
	// The patterns are as in the file, unchecked.
	AllowedURLs map[string][]string `json:"allowedUrls"`
	// AllowLocalNetwork lets requests reach addresses of the local network.
	AllowLocalNetwork bool `json:"allowLocalNetwork"`
}

// WebSocketPermission says where a plugin may connect to.
type WebSocketPermission struct {
	Reason string `json:"reason"`
	// AllowedURLs has at least one URL pattern, each with the scheme ws or wss and otherwise unchecked.
	AllowedURLs []string `json:"allowedUrls"`
	// AllowLocalNetwork lets connections reach addresses of the local network.
	AllowLocalNetwork bool `json:"allowLocalNetwork"`
}

// SubsonicAPIPermission says for whom a plugin may call the Subsonic API.
type SubsonicAPIPermission struct {
	Reason string `json:"reason"`
	// AllowedUsernames has the users the plugin may act for; empty is every user.
	AllowedUsernames []string `json:"allowedUsernames,omitempty"`
	// AllowAdmins lets these users be administrators.
	AllowAdmins bool `json:"allowAdmins"`
}
