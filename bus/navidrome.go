package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/internal/natswire"
	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/sdk/excerpt"
	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// navidromeTimeout bounds a request whose context has no deadline.
	navidromeTimeout = 10 * time.Second
	// maxArtworkURL is the longest address of an image that is taken, in bytes.
	maxArtworkURL = 8 << 10
)

// RequestSubsonic asks a Navidrome on the bus for one GET of its Subsonic API and
// returns the body of its answer. via are the ids of the plugins that wait for it,
// the one that asks the last. A failure is a *subjects.Error: what Navidrome
// answered, ErrUnavailable when nobody does or the connection is lost, ErrDeadlineExceeded, ErrTooLarge for a
// request over the server's max_payload, ErrBadRequest for more than
// subjects.MaxVia ids. Anything else, such as a closed connection, is another error.
func (b *Bus) RequestSubsonic(ctx context.Context, request subjects.SubsonicRequest, via []string) ([]byte, error) {
	request.V = subjects.Version
	return b.askNavidrome(ctx, navidromeRequest{
		subject: subjects.NavidromeSubsonic, body: request, via: via, setting: "Subsonic", other: "http",
	})
}

// RequestArtwork asks a Navidrome on the bus for the public address of an image.
// It fails as RequestSubsonic does, and when the answer is no http or https URL of
// at most 8 KiB.
func (b *Bus) RequestArtwork(ctx context.Context, request subjects.ArtworkRequest) (string, error) {
	request.V = subjects.Version
	body, err := b.askNavidrome(ctx, navidromeRequest{
		subject: subjects.NavidromeArtwork, body: request, setting: "Artwork", other: "proxy",
	})
	if err != nil {
		return "", err
	}
	var reply subjects.ArtworkReply
	if err := json.Unmarshal(body, &reply); err != nil {
		return "", fmt.Errorf("the answer to %s is no JSON: %w: %q", subjects.NavidromeArtwork, err, excerpt.Of(body))
	}
	if err := checkArtworkURL(reply.URL); err != nil {
		return "", fmt.Errorf("the answer to %s: %w", subjects.NavidromeArtwork, err)
	}
	return reply.URL, nil
}

func checkArtworkURL(address string) error {
	if len(address) > maxArtworkURL {
		return fmt.Errorf("the address of an image has %d bytes, the limit is %d", len(address), maxArtworkURL)
	}
	parsed, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("the address of an image is no URL: %w", err)
	}
	if parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return fmt.Errorf("the address of an image is %.200q: want an http or https URL with a host", address)
	}
	return nil
}

// navidromeRequest is one request to Navidrome.
type navidromeRequest struct {
	subject string
	body    any // goes as JSON
	via     []string
	// setting of section [Navidrome] chose the bus; other is its other value.
	setting, other string
}

func (b *Bus) askNavidrome(ctx context.Context, request navidromeRequest) ([]byte, error) {
	if len(request.via) > subjects.MaxVia {
		return nil, subjects.Errorf(subjects.ErrBadRequest, "more than %d plugins wait for each other", subjects.MaxVia)
	}
	body, err := json.Marshal(request.body)
	if err != nil {
		return nil, fmt.Errorf("request to %s: %w", request.subject, err)
	}
	deadline, bounded := ctx.Deadline()
	if !bounded {
		var cancel context.CancelFunc
		deadline = time.Now().Add(navidromeTimeout)
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	msg := nats.NewMsg(request.subject)
	msg.Data = body
	msg.Header.Set(subjects.HeaderTimeout, time.Until(deadline).String())
	msg.Header.Set(subjects.HeaderContentType, subjects.ContentTypeJSON)
	if len(request.via) > 0 {
		msg.Header.Set(subjects.HeaderVia, subjects.FormatVia(request.via))
	}
	if b.calls.IsReconnecting() {
		// nats.go would keep it, and a scrobble be sent after the plugin was told that it is not.
		return nil, subjects.Errorf(subjects.ErrUnavailable, "the request to %s was not sent: the connection to NATS is lost, and tried again", request.subject)
	}
	reply, err := b.calls.RequestMsgWithContext(ctx, msg)
	switch {
	case err == nil:
		if err := natswire.RefusedError(reply.Header); err != nil {
			return nil, fmt.Errorf("the answer to %s: %w", request.subject, err)
		}
		return reply.Data, navidromeFailure(reply.Header)
	case errors.Is(err, nats.ErrMaxPayload):
		return nil, subjects.Errorf(subjects.ErrTooLarge, "the request to %s has %d bytes, the server's max_payload is %d", request.subject, len(body), b.maxPayload())
	case errors.Is(err, nats.ErrNoResponders):
		return nil, subjects.Errorf(subjects.ErrUnavailable, "nobody answers %s: connect a Navidrome that does to this NATS server, or set [Navidrome] %s = %q",
			request.subject, request.setting, request.other)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return nil, subjects.Errorf(subjects.ErrDeadlineExceeded, "no answer to %s in time", request.subject)
	default:
		return nil, fmt.Errorf("request to %s: %w", request.subject, err)
	}
}

// navidromeFailure is what the headers of a reply tell, or nil.
func navidromeFailure(header nats.Header) error {
	failure, err := call.ReadFailure(header)
	var code *call.CodeError
	switch {
	case errors.As(err, &code):
		return fmt.Errorf("the answer of Navidrome has %w", err)
	case err != nil:
		return fmt.Errorf("the answer of Navidrome: %w", err)
	case failure == nil:
		return nil
	}
	failure.Text = strings.ToValidUTF8(failure.Text[:min(len(failure.Text), call.MaxErrorText)], "\uFFFD")
	return failure
}
