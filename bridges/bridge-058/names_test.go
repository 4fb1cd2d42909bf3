package main

import (
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/sdk/api/host/http"
	"github.com/pluginhost/pluginhost/subjects"
)

func TestTheGatewayCallsThingsSo(t *testing.T) {
	t.Parallel()
	for here, there := range map[string]string{
		pathPlugins: subjects.HTTPPlugins, pathAgents: subjects.HTTPAgents, headerTimeout: subjects.HeaderTimeout, contentType: subjects.ContentTypeProtobuf,
		nameNotFound: subjects.ErrNotFound.Error(), nameNotImplemented: subjects.ErrNotImplemented.Error(), nameBadRequest: subjects.ErrBadRequest.Error(),
		nameDeadlineExceeded: subjects.ErrDeadlineExceeded.Error(), nameUnavailable: subjects.ErrUnavailable.Error(),
		nameUnauthorized: subjects.NameUnauthorized, nameForbidden: subjects.NameForbidden, nameNoSuchPath: subjects.NameNoSuchPath,
		nameNoSuchPlugin: subjects.NameNoSuchPlugin, nameMethodNotAllowed: subjects.NameMethodNotAllowed, nameMisdirected: subjects.NameMisdirected,
	} {
		if here != there {
			t.Errorf("%s is called %s", here, there)
		}
	}
	if maxPlugin != subjects.MaxID {
		t.Errorf("an id has at most %d bytes, not %d", subjects.MaxID, maxPlugin)
	}
	if !secret.MatchString(subjects.AccessTokenPrefix + "abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrst") {
		t.Error("a token does not look as it should")
	}
}

// Whatever comes back, there is a message or an error, which is short and keeps the token.
func FuzzAnswer(f *testing.F) {
	s := settings{url: defaultURL, token: "ph_" + "abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrst", timeout: defaultTimeout}
	f.Add(int32(200), contentType, "", "", []byte("\x0a\x01a"))
	f.Add(int32(404), "application/json", "", "", []byte(`{"v":1,"code":404,"name":"plugin:not_found","error":""}`))
	f.Add(int32(302), "text/html", "/login", "Request blocked", []byte("<html>"+s.token))
	f.Add(int32(0), "", "", "connection refused", []byte(nil))
	f.Fuzz(func(t *testing.T, status int32, kind, location, failed string, body []byte) {
		got := &http.HttpResponse{Status: status, Headers: map[string]string{"Content-Type": kind, "Location": location}, Error: failed, Body: body}
		_, err := s.answer(got)
		if err == nil && (status != 200 || failed != "") {
			t.Error("taken for an answer")
		}
		for _, err := range []error{err, s.foreign(got, "it is")} {
			if err != nil && (len(err.Error()) > 3000 || strings.Contains(err.Error(), s.token)) {
				t.Errorf("the error is %q", err)
			}
		}
	})
}
