package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/http"
	"github.com/pluginhost/pluginhost/sdk/excerpt"
)

const (
	// maxAnswer is the largest answer that is decoded, in bytes.
	maxAnswer = 16 << 20
	// maxFailure is the largest that can be a failure, in bytes.
	maxFailure = 64 << 10
)

// failure is the body of every answer of a gateway that is none of a plugin.
type failure struct {
	V     int    `json:"v"`
	Code  int    `json:"code"`
	Name  string `json:"name"`
	Error string `json:"error"`
}

// Names of failures that something is to be done about, as the gateway has them.
const (
	nameNotFound         = "plugin:not_found"
	nameNotImplemented   = "plugin:not_implemented"
	nameBadRequest       = "bad_request"
	nameDeadlineExceeded = "deadline_exceeded"
	nameUnavailable      = "unavailable"
	nameUnauthorized     = "unauthorized"
	nameForbidden        = "forbidden"
	nameNoSuchPath       = "no_such_path"
	nameNoSuchPlugin     = "no_such_plugin"
	nameMethodNotAllowed = "method_not_allowed"
	nameMisdirected      = "misdirected"
)

// answer returns the message in what has come back. The error is api.ErrNotFound or api.ErrNotImplemented only if a gateway has
// said so: Navidrome remembers for a day that there is nothing, and a wrong address must not look like that.
func (s settings) answer(got *http.HttpResponse) ([]byte, error) {
	status := int(got.GetStatus())
	switch {
	case status == 0:
		return nil, s.failed("no answer: %s: does a pluginhost listen there, with --http? Set url in %s to its address", s.shown(got.GetError()), section)
	case status >= 300 && status < 400:
		return nil, s.failed("it redirects to %s (status %d): set url in %s to the address that answers itself", excerpt.Quoted(s.hidden(got.GetHeaders()["Location"])), status, section)
	case got.GetError() != "": // some hosts have one beside a status
		return nil, s.failed("status %d, and %s", status, s.shown(got.GetError()))
	case len(got.GetBody()) > maxAnswer:
		return nil, s.failed("an answer of %d bytes, more than %d", len(got.GetBody()), maxAnswer)
	case status == 200 && isProtobuf(got):
		return got.GetBody(), nil
	case status == 200:
		return nil, s.foreign(got, "its content type is not "+contentType)
	}
	var f failure
	switch err := json.Unmarshal(got.GetBody()[:min(len(got.GetBody()), maxFailure)], &f); {
	case err != nil:
		return nil, s.foreign(got, "its body is not the JSON of one")
	case f.V != 1 || f.Name == "" || f.Code < 400:
		return nil, s.foreign(got, "its JSON has no v, code and name")
	case f.Name == nameNotFound && f.Code == 404 && status == 404:
		return nil, api.ErrNotFound
	case f.Name == nameNotImplemented && f.Code == 501 && status == 501:
		return nil, api.ErrNotImplemented
	}
	return nil, s.failed("%d %s: %s%s", f.Code, s.shown(f.Name), s.shown(f.Error), s.remedy(f.Name))
}

// isProtobuf tells whether an answer says that it is a message.
func isProtobuf(got *http.HttpResponse) bool {
	kind, _, _ := strings.Cut(got.GetHeaders()["Content-Type"], ";")
	return strings.EqualFold(strings.TrimSpace(kind), contentType)
}

// remedy is what to do about a failure, if it is not the plugin's.
func (s settings) remedy(name string) string {
	switch name {
	case nameUnauthorized:
		return ": make a token with pluginhost token create --scope call, and set token in " + section + " to what that prints"
	case nameForbidden:
		return ": the token in " + section + " must have the scope call, and be for this plugin if it was made with --plugin"
	case nameNoSuchPath:
		return ": url in " + section + " must end where /v1 begins, and a proxy pass on what follows"
	case nameMethodNotAllowed:
		return ": what is between Navidrome and the pluginhost changes the method POST"
	case nameMisdirected:
		return ": or set url in " + section + " to an address that is a number"
	case nameBadRequest:
		return ": is the bridge newer than the pluginhost?"
	case nameDeadlineExceeded:
		return fmt.Sprintf(": it had %v, which timeout in %s can change", s.timeout, section)
	case nameNoSuchPlugin, nameUnavailable:
		if s.plugin == "" {
			return ""
		}
		return ": plugin in " + section + " must be an id that pluginhost plugin list shows"
	default:
		return ""
	}
}

// failed returns an error that says which pluginhost was asked for what.
func (s settings) failed(format string, args ...any) error {
	of := "its agents"
	if s.plugin != "" {
		of = "the plugin " + excerpt.Quoted(s.plugin)
	}
	return fmt.Errorf("pluginhost at %s, asked for %s: %s", excerpt.Cut(s.url, excerpt.Most), of, fmt.Sprintf(format, args...))
}

// foreign returns an error for what no gateway of a pluginhost would answer.
func (s settings) foreign(got *http.HttpResponse, why string) error {
	return s.failed("what answers there is no pluginhost, as %s (status %d, content type %s, body %s): set url in %s to the address of its --http",
		why, got.GetStatus(), excerpt.Quoted(s.hidden(got.GetHeaders()["Content-Type"])), excerpt.Quoted(s.shown(string(got.GetBody()))), section)
}

// shown is the beginning of a foreign text.
func (s settings) shown(text string) string { return excerpt.Of([]byte(s.hidden(text))) }

// hidden is a foreign text, or as much of it as somebody could look at, without the token, which a server may repeat: the text
// goes to a log.
func (s settings) hidden(text string) string {
	return strings.ReplaceAll(text[:min(len(text), maxFailure)], s.token, "ph_…")
}
