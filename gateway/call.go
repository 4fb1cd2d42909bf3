package gateway

import (
	"context"
	"net/http"

	"github.com/pluginhost/pluginhost/sdk/api/schema"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/sdk/excerpt"
	"github.com/pluginhost/pluginhost/subjects"
)

// methodOf returns a method that callers may call: none is a callback.
func methodOf(name string) (*schema.Method, error) {
	method, known := schema.Navidrome058().Method(name)
	if !known || method.Kind != schema.KindCall {
		return nil, subjects.Errorf(subjects.ErrBadRequest, "unknown method %s: want a name such as get_artist_biography", excerpt.Quoted(name))
	}
	return method, nil
}

// call calls one method of a plugin.
func (g *Gateway) call(a *answering, r *http.Request, grant subjects.AccessTokenGrant, at place) error {
	method, err := methodOf(at.name)
	if err != nil {
		return err
	}
	is, err := contentOf(r.Header)
	if err != nil {
		return err
	}
	given, err := g.timeout(r)
	if err != nil {
		return err
	}
	limit, personal := g.MaxBody, method.Capability == capabilityScrobbler && grant.User != ""
	if personal {
		limit = min(limit, maxSmall) // it is looked into
	}
	body, release, err := g.body(a, is, sender(grant), limit)
	defer release()
	if err != nil {
		return err
	}
	if personal {
		if err := checkUser(grant, method, is, body); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), given+g.times.tell)
	defer cancel()
	response, err := g.Plugins.Do(ctx, at.plugin, method.Name, client.Request{Body: body, JSON: is.JSON, Timeout: given})
	if err != nil {
		return ranError{err}
	}
	return g.reply(a, grant, is, response)
}

// reply sends the response of a plugin.
func (g *Gateway) reply(a *answering, grant subjects.AccessTokenGrant, is content, response []byte) error {
	release, err := g.roomFor(grant, response)
	if err != nil {
		return ranError{subjects.Errorf(subjects.ErrTooLarge, "the reply has %d bytes, and there is no room for them now: %w", len(response), err)}
	}
	defer release()
	a.send(http.StatusOK, is.kind(), response)
	return nil
}

// smallAnswer is how many bytes an answer has that is sent even if there is no room: how many requests there are is bounded, and of what
// a plugin has done its caller should hear.
const smallAnswer = 4 << 10

// roomFor takes the room of an answer until release is called.
func (g *Gateway) roomFor(grant subjects.AccessTokenGrant, answer []byte) (release func(), err error) {
	if len(answer) <= smallAnswer {
		return func() {}, nil
	}
	return g.bodies.Take(sender(grant), len(answer))
}
