package client

import (
	"context"
	"time"
)

// Request is a call with all that a caller can say of it.
type Request struct {
	// Body is the request message.
	Body []byte
	// JSON says that Body is JSON; the response is JSON then, too.
	JSON bool
	// Timeout is what the plugin is given; 0 is until the deadline of the context. A caller that waits a little longer gets a reply that
	// tells why.
	Timeout time.Duration
}

// Do is Call with all that can be said of a call.
func (c *Client) Do(ctx context.Context, id, method string, request Request) ([]byte, error) {
	return c.send(ctx, id, outgoing{method: method, subject: subject(id, method), body: request.Body, json: request.JSON, timeout: request.Timeout})
}
