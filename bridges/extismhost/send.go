package extismhost

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	extism "github.com/extism/go-sdk"
)

// httpSend is the function of the service.
const httpSend = "http_send"

const (
	// sendTimeout is how long http_send takes at most, if the plugin says nothing.
	sendTimeout = 10 * time.Second
	// maxRedirects are followed; the answer is then that of the last one.
	maxRedirects = 4
	// maxBody is where a body is cut.
	maxBody = 10 << 20
)

// errScheme is that of an address with another scheme than HTTP's.
var errScheme = errors.New("must be http or https")

// errHost is that of a host that the manifest does not name.
var errHost = errors.New("is not allowed")

// sendRequest and sendResponse are those of http_send.
type sendRequest struct {
	Request struct {
		Method            string            `json:"method"`
		URL               string            `json:"url"`
		Headers           map[string]string `json:"headers"`
		NoFollowRedirects bool              `json:"noFollowRedirects"`
		Body              []byte            `json:"body"`
		TimeoutMs         int32             `json:"timeoutMs"`
	} `json:"request"`
}

type sendResponse struct {
	Result sendResult `json:"result"`
}

type sendResult struct {
	StatusCode int               `json:"statusCode"`
	Headers    map[string]string `json:"headers,omitempty"`
	Body       []byte            `json:"body,omitempty"`
}

// sender is the service http of one plugin.
type sender struct {
	hosts     []string // those of the manifest
	transport *http.Transport
}

// function is http_send.
func (s *sender) function() extism.HostFunction { return serviceFunction(httpSend, s.send) }

func (s *sender) send(ctx context.Context, request sendRequest) (_ sendResponse, err error) {
	asked := request.Request
	address, err := url.Parse(asked.URL)
	if err != nil {
		return sendResponse{}, fmt.Errorf("invalid URL: %w", err)
	}
	if address.Scheme != "http" && address.Scheme != "https" {
		return sendResponse{}, fmt.Errorf("invalid URL scheme %q: %w", address.Scheme, errScheme)
	}
	if err := s.allow(address); err != nil {
		return sendResponse{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(time.Duration(asked.TimeoutMs)*time.Millisecond, sendTimeout))
	defer cancel()
	method := strings.ToUpper(cmp.Or(asked.Method, http.MethodGet))
	r, err := http.NewRequestWithContext(ctx, method, asked.URL, bytes.NewReader(asked.Body))
	if err != nil {
		return sendResponse{}, err
	}
	for name, value := range asked.Headers {
		r.Header.Set(name, value)
	}
	client := &http.Client{Transport: s.transport, CheckRedirect: s.redirect(asked.NoFollowRedirects)}
	response, err := client.Do(r)
	if err != nil {
		return sendResponse{}, err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return sendResponse{}, err
	}
	headers := make(map[string]string, len(response.Header))
	for name, values := range response.Header {
		headers[name] = values[0]
	}
	return sendResponse{Result: sendResult{StatusCode: response.StatusCode, Headers: headers, Body: body}}, nil
}

// redirect decides about each redirect.
func (s *sender) redirect(none bool) func(*http.Request, []*http.Request) error {
	return func(next *http.Request, before []*http.Request) error {
		if none || len(before) > maxRedirects {
			return http.ErrUseLastResponse
		}
		return s.allow(next.URL)
	}
}

// allow says whether the plugin may send there. Without hosts in the manifest it may, but not to this machine or a local network.
func (s *sender) allow(address *url.URL) error {
	host := address.Hostname()
	if len(s.hosts) == 0 {
		if isLocal(host) {
			return fmt.Errorf("host %q %w: private/loopback addresses require explicit requiredHosts in manifest", host, errHost)
		}
		return nil
	}
	if slices.ContainsFunc(s.hosts, func(pattern string) bool { return matches(pattern, host) }) {
		return nil
	}
	return fmt.Errorf("host %q %w", address.Host, errHost)
}

// matches says whether a host is what an entry of the manifest names: that host, or with *. those below it, or with * any.
func matches(pattern, host string) bool {
	if suffix, wild := strings.CutPrefix(pattern, "*"); wild && (suffix == "" || suffix[0] == '.') {
		return strings.HasSuffix(host, suffix)
	}
	return pattern == host
}

// isLocal says whether a host is this machine or in a local network, by its name alone: names are not looked up.
func isLocal(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && (ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast())
}
