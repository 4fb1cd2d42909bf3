package gateway

import (
	"context"
	"net/http"
	"net/url"

	"github.com/pluginhost/pluginhost/subjects"
)

// capabilityAgent is the capability of the plugins that are asked for metadata.
const capabilityAgent = "MetadataAgent"

// jsonCost is how many times its own bytes a body of JSON takes until it is converted.
const jsonCost = 4

// ask asks the plugins with MetadataAgent.
func (g *Gateway) ask(a *answering, r *http.Request, grant subjects.AccessTokenGrant, at place) error {
	method, err := methodOf(at.name)
	if err == nil && method.Capability != capabilityAgent {
		err = subjects.Errorf(subjects.ErrBadRequest, "%s is no method of %s", method.Name, capabilityAgent)
	}
	if err != nil {
		return err
	}
	is, body, release, err := g.message(a, r, grant, method.RequestFromJSON)
	defer release()
	if err != nil {
		return err
	}
	given, err := g.timeout(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), given)
	defer cancel()
	answer, err := g.Agents.Ask(ctx, method.Name, body)
	if err != nil {
		return ranError{err}
	}
	a.w.Header()[subjects.HeaderPlugin] = []string{url.PathEscape(answer.Plugin)}
	if !is.JSON {
		return g.reply(a, grant, is, answer.Response)
	}
	if len(answer.Response) > smallAnswer {
		done, err := g.bodies.Take(sender(grant), jsonCost*len(answer.Response))
		if err != nil {
			return ranError{subjects.Errorf(subjects.ErrTooLarge, "the reply has %d bytes, and there is no room to convert them now: %w", len(answer.Response), err)}
		}
		defer done()
	}
	text, err := method.ResponseToJSON(answer.Response)
	if err != nil {
		return ranError{subjects.Errorf(subjects.ErrCrashed, "the response of %s: %w", answer.Plugin, err)}
	}
	return g.reply(a, grant, is, text)
}

// message reads the request message of a method, in protobuf whatever the body is. The caller calls release once nothing of it is needed any
// more, also after an error.
func (g *Gateway) message(a *answering, r *http.Request, grant subjects.AccessTokenGrant, fromJSON func([]byte) ([]byte, error)) (is content, message []byte, release func(), err error) {
	if is, err = contentOf(r.Header); err != nil {
		return is, nil, func() {}, err
	}
	body, release, err := g.body(a, is, sender(grant), maxSmall)
	if err != nil || !is.JSON {
		return is, body, release, err
	}
	if message, err = fromJSON(body); err != nil {
		err = subjects.Errorf(subjects.ErrBadRequest, "%w", err)
	}
	return is, message, release, err
}
