package http

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	nethttp "net/http"
	"net/url"
	"time"

	"github.com/pluginhost/pluginhost/hostsvc/internal/egress"
	api "github.com/pluginhost/pluginhost/sdk/api/host/http"
	"github.com/pluginhost/pluginhost/sdk/hold"
)

// blockedPrefix begins the error of a response when a permission stopped the request:
// plugins look for it.
const blockedPrefix = "Request blocked by plugin permissions: "

// send makes one exchange, redirects included. The body of the request must not be
// changed for some time after send returned: the transport may still be sending it.
func (s *Service) send(ctx context.Context, method string, request *api.HttpRequest) *api.HttpResponse {
	if s.running.Err() != nil {
		return s.failed(ctx, method, request.GetUrl(), nil)
	}
	target, err := s.gate.Check(request.GetUrl(), method)
	if err != nil {
		return s.blocked(ctx, method, request.GetUrl(), err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout(request.GetTimeoutMs()))
	defer cancel()
	defer context.AfterFunc(s.running, cancel)()

	outgoing, err := s.newRequest(withExchange(ctx), method, target, request)
	if err != nil {
		return &api.HttpResponse{Error: err.Error()}
	}
	hops := redirects{service: s}
	client := nethttp.Client{Transport: s.exchanger, CheckRedirect: hops.check}
	incoming, err := client.Do(outgoing)
	if err != nil {
		if egress.Refusal(err) != nil {
			return hops.describe(s.blocked(ctx, method, request.GetUrl(), err))
		}
		return s.failed(ctx, method, request.GetUrl(), err)
	}
	defer func() { _ = incoming.Body.Close() }()
	return s.receive(ctx, incoming, request.GetUrl(), hops.stopped)
}

// failed logs an exchange without an answer and makes the response for it. Close breaks exchanges
// off in several ways, which read all the same.
func (s *Service) failed(ctx context.Context, method, rawURL string, err error) *api.HttpResponse {
	if s.running.Err() != nil {
		return &api.HttpResponse{Error: "the HTTP service of the plugin is closed"}
	}
	s.config.Failing(ctx, wasSent(err))
	s.gate.Failed(ctx, "request of plugin failed", rawURL, err, slog.String("method", method))
	return &api.HttpResponse{Error: err.Error()}
}

// timeout is the time for a whole exchange: what the plugin asks for up to the
// maximum, and the default when it asks for nothing. A negative number asks for
// nothing, too: in Navidrome it meant for ever.
func (s *Service) timeout(milliseconds int32) time.Duration {
	if milliseconds <= 0 {
		return s.config.DefaultTimeout
	}
	return min(time.Duration(milliseconds)*time.Millisecond, s.config.MaxTimeout)
}

func (s *Service) newRequest(ctx context.Context, method string, target *url.URL, request *api.HttpRequest) (*nethttp.Request, error) {
	header, err := s.gate.Header(request.GetHeaders())
	if err != nil {
		return nil, err
	}
	var body io.Reader
	switch method {
	case nethttp.MethodPost, nethttp.MethodPut, nethttp.MethodPatch:
		if size := int64(len(request.GetBody())); size > s.config.MaxBody {
			return nil, fmt.Errorf("request body of %d bytes is over the limit of %d bytes", size, s.config.MaxBody)
		}
		body = bytes.NewReader(request.GetBody())
	}
	outgoing, err := nethttp.NewRequestWithContext(ctx, method, target.String(), body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	outgoing.URL = target // exactly what was checked
	outgoing.Header = header
	return outgoing, nil
}

// receive reads a response to a request for rawURL. fault is what the plugin must know about it
// besides, or nil.
func (s *Service) receive(ctx context.Context, incoming *nethttp.Response, rawURL string, fault error) *api.HttpResponse {
	response := &api.HttpResponse{Status: int32(incoming.StatusCode)}
	if isFailing(incoming.StatusCode) {
		s.config.Failing(ctx, false)
	}
	if incoming.StatusCode == nethttp.StatusSwitchingProtocols {
		// Its body is the bare connection.
		response.Error = "the server switched protocols, which the HTTP service does not support: use the WebSocket service"
		return response
	}
	header, err := responseHeader(incoming.Header)
	if err != nil {
		response.Error = err.Error()
		return response
	}
	response.Headers = header
	body, err := readBody(ctx, incoming, s.config.MaxBody)
	var tooLarge *bodyTooLargeError
	switch {
	case errors.As(err, &tooLarge) && fault != nil:
		fault = fmt.Errorf("%w; %w", fault, err)
	case errors.As(err, &tooLarge):
		fault = err
	case err != nil:
		return s.failed(ctx, incoming.Request.Method, rawURL, err)
	}
	response.Body = body
	if fault != nil {
		response.Error = fault.Error()
	}
	return response
}

// wasSent says whether a request that failed may have reached its server.
func wasSent(err error) bool {
	var connecting *net.OpError
	return !errors.As(err, &connecting) || connecting.Op != "dial"
}

// isFailing tells the status codes that say to try again.
func isFailing(status int) bool {
	switch status {
	case nethttp.StatusRequestTimeout, nethttp.StatusTooEarly, nethttp.StatusTooManyRequests:
		return true
	default:
		return status >= nethttp.StatusInternalServerError
	}
}

type bodyTooLargeError struct{ limit int64 }

func (e *bodyTooLargeError) Error() string {
	return fmt.Sprintf("response body is over the limit of %d bytes", e.limit)
}

// readBody reads a whole body after decompression, up to a limit.
func readBody(ctx context.Context, incoming *nethttp.Response, limit int64) ([]byte, error) {
	hasBody := incoming.Request.Method != nethttp.MethodHead
	if hasBody && incoming.ContentLength > limit {
		return nil, &bodyTooLargeError{limit}
	}
	length := incoming.ContentLength
	if !hasBody {
		length = 0
	}
	body, more, err := hold.ReadAll(ctx, incoming.Body, length, limit)
	if err != nil {
		return nil, fmt.Errorf("read response body: %w", err)
	}
	if more {
		return nil, &bodyTooLargeError{limit}
	}
	return body, nil
}
