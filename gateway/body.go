package gateway

import (
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/pluginhost/pluginhost/internal/door"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
)

// maxSmall is how many bytes a body may have that the gateway itself looks into: it takes many times as much while it is decoded.
const maxSmall = subjects.MaxPlay

// content is what a body is.
type content struct {
	// JSON tells that it is JSON rather than protobuf, and that the answer is to be.
	JSON bool
}

// kind is the content type of the answer.
func (c content) kind() string {
	if c.JSON {
		return subjects.ContentTypeJSON
	}
	return subjects.ContentTypeProtobuf
}

// contentOf reads the header Content-Type.
func contentOf(header http.Header) (content, error) {
	values := header.Values("Content-Type")
	if len(values) == 1 {
		switch values[0] { // as nearly all have it
		case subjects.ContentTypeJSON:
			return content{JSON: true}, nil
		case subjects.ContentTypeProtobuf:
			return content{}, nil
		}
		switch kind, _, _ := mime.ParseMediaType(values[0]); kind {
		case subjects.ContentTypeJSON:
			return content{JSON: true}, nil
		case subjects.ContentTypeProtobuf, "application/protobuf":
			return content{}, nil
		}
	}
	return content{}, subjects.Errorf(subjects.ErrBadRequest, "the header Content-Type is %.80q: want %s or %s", strings.Join(values, ", "), subjects.ContentTypeJSON, subjects.ContentTypeProtobuf)
}

// check refuses a body that is not what its header says: on the bus JSON is known by its first byte, with which no message begins.
func (c content) check(body []byte) error {
	if !c.JSON && len(body) > 0 && body[0] == '{' {
		return subjects.Errorf(subjects.ErrBadRequest, "the body begins as JSON does, and the header Content-Type says that it is none")
	}
	return nil
}

// body reads the body of a request whose sender is known by a name. The caller calls release once nothing of it is needed any more, also
// after an error.
func (g *Gateway) body(a *answering, is content, sender string, limit int) (body []byte, release func(), err error) {
	_ = a.control.SetReadDeadline(time.Now().Add(g.times.read))
	body, release, err = g.bodies.Read(a.r, sender, limit)
	switch {
	case err == nil:
		a.read = true
		_ = a.control.SetReadDeadline(time.Time{}) // net/http looks whether the client is still there
		return body, release, is.check(body)
	case errors.Is(err, door.ErrTooLong):
		return nil, release, subjects.Errorf(subjects.ErrTooLarge, "%w", err)
	case errors.Is(err, door.ErrEncoded):
		return nil, release, subjects.Errorf(subjects.ErrBadRequest, "%w", err)
	default: // it can be sent again
		return nil, release, unread(err)
	}
}

// unread is that a body did not arrive as a whole, so that nothing ran.
func unread(err error) error {
	var failure *subjects.Error
	var network net.Error
	switch {
	case errors.As(err, &failure): // of who pays for memory
		return failure
	case errors.Is(err, door.ErrNoRoom):
		return subjects.Errorf(subjects.ErrOverloaded, "%w: try again later", err)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &network):
		return subjects.Errorf(subjects.ErrUnavailable, "%w: nothing ran, send it again", err)
	default:
		return subjects.Errorf(subjects.ErrBadRequest, "%w", err)
	}
}

// timeout reads how long a request may take: what a plugin is given, and how long a reply is waited for, which is a little longer.
func (g *Gateway) timeout(r *http.Request) (given time.Duration, err error) {
	text, err := subjects.HeaderValue(r.Header, subjects.HeaderTimeout)
	if err != nil {
		return 0, subjects.Errorf(subjects.ErrBadRequest, "%w", err)
	}
	if text == "" {
		return min(client.DefaultTimeout, g.MaxTimeout), nil
	}
	given, err = time.ParseDuration(text)
	if err != nil {
		return 0, subjects.Errorf(subjects.ErrBadRequest, "header %s is %.40q: want a Go duration such as 1.5s", subjects.HeaderTimeout, text)
	}
	if given <= 0 {
		return 0, subjects.Errorf(subjects.ErrDeadlineExceeded, "header %s is %s: the time is over", subjects.HeaderTimeout, given)
	}
	return min(given, g.MaxTimeout), nil
}

// sender is by what name a token's bodies are counted together.
func sender(grant subjects.AccessTokenGrant) string {
	return grant.User + "\x00" + grant.UserID + "\x00" + grant.Plugin
}
