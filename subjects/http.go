package subjects

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// Paths of the HTTP gateway. Each takes a bearer token, in the header Authorization.
const (
	// HTTPPlugins lists the plugins; one of them is behind a slash and its id, percent-encoded, and a method of it behind
	// another.
	HTTPPlugins = "/v1/plugins"
	// HTTPAgents asks the plugins with MetadataAgent one after the other; the method is behind a slash.
	HTTPAgents = "/v1/agents"
	// HTTPScrobbles takes a play for all plugins with Scrobbler, or for the one whose id is behind a slash.
	HTTPScrobbles = "/v1/scrobbles"
	// HTTPNowPlaying is told what somebody has started to play.
	HTTPNowPlaying = "/v1/now-playing"
	// HTTPOpenAPI describes all of them.
	HTTPOpenAPI = "/v1/openapi.json"
)

const (
	// ContentTypeProtobuf is the content type of messages in protobuf over HTTP.
	ContentTypeProtobuf = "application/x-protobuf"
	// HeaderPlugin is the id of the plugin whose answer it is, percent-encoded, in what HTTPAgents answers.
	HeaderPlugin = "Pluginhost-Plugin"
)

// HTTPFailure is the body of every answer of the gateway with another status than 2xx, as JSON, whatever was asked for. Who
// has no such body, or one of another V, did not hear it from a gateway.
type HTTPFailure struct {
	// V is Version.
	V int `json:"v"`
	// Code is that of the failure. It is the status as well, but for what [HTTPStatus] says.
	Code int `json:"code"`
	// Name is what the code is called: that of one of the failures of a call, such as plugin:not_found, or one of the names
	// of the gateway's own.
	Name string `json:"name"`
	// Error says what happened.
	Error string `json:"error"`
}

// Names of failures that only the gateway has: no plugin was asked.
const (
	NameUnauthorized     = "unauthorized"       // 401: no token, or one that is not known
	NameForbidden        = "forbidden"          // 403: the token is for something else, or for another user
	NameNoSuchPath       = "no_such_path"       // 404: nothing is at that path
	NameNoSuchPlugin     = "no_such_plugin"     // 404: no replica has a plugin of that id, when it is looked at
	NameMethodNotAllowed = "method_not_allowed" // 405: the path takes other methods of HTTP
	NameMisdirected      = "misdirected"        // 421: the header Host has a name that the gateway does not go by
)

// HTTPStatus is the status with which a gateway sends a failure: its code, but 504 for ErrDeadlineExceeded, since clients and
// proxies send again by themselves what got a 408, and 502 for ErrTooLarge if it is the reply that was too large.
func HTTPStatus(failure *Error, ran bool) int {
	switch {
	case errors.Is(failure.Failure, ErrDeadlineExceeded):
		return http.StatusGatewayTimeout
	case errors.Is(failure.Failure, ErrTooLarge) && ran:
		return http.StatusBadGateway
	default:
		return failure.Code()
	}
}

// HTTPRetryAfter is the value of the header Retry-After, in whole seconds: at least one.
func HTTPRetryAfter(after time.Duration) string {
	return strconv.Itoa(max(1, int((after+time.Second-1)/time.Second)))
}
