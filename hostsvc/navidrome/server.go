package navidrome

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pluginhost/pluginhost/sdk/hold"
)

// Limits that are not configurable.
const (
	// maxHeaderBytes is how large the headers of an answer may be.
	maxHeaderBytes = 256 << 10
	// maxQueryBytes is how long the query of a request may be: Navidrome takes forms of
	// 10 MB.
	maxQueryBytes = 4 << 20
	// maxGetQueryBytes is how long a query may be to go in the address of a GET; a longer
	// one goes as the form of a POST. Proxies bound the first line of a request, nginx and
	// Apache at 8 KiB, older ones and their HTTP/2 at 4 KiB.
	maxGetQueryBytes = 4<<10 - 512 // room for the path
	// maxUserBytes is how long a user name may be.
	maxUserBytes = 1 << 10
	// maxEndpointBytes is how long an endpoint may be.
	maxEndpointBytes = 256
)

// Config is the configuration of a Server.
type Config struct {
	// URL is Navidrome's own address, http or https, with its base path if it has one.
	// User information in it is sent as basic authentication and is in no error.
	URL *url.URL
	// UserHeader is the header in which Navidrome trusts a user name. Defaults to
	// "Remote-User".
	UserHeader string
	// MaxBody is the largest answer, after decompression, in bytes. Defaults to 10 MiB.
	MaxBody int64
	// Timeout is how long a request may take; the context may end it earlier. Defaults
	// to 10 seconds.
	Timeout time.Duration
	// FormatVia makes the value of the header Pluginhost-Via from SubsonicRequest.Via.
	// Nil is not to send the header.
	FormatVia func(via []string) string
	// Placeholders are the SHA-256, in lower-case hexadecimal digits, of images that stand
	// for none. Defaults to those of Navidrome.
	Placeholders []string
}

// Server is a Navidrome that is reached over HTTP. It follows no redirects and uses
// no proxy of the environment. It is safe for concurrent use.
type Server struct {
	config    Config
	name      string // the address without secrets, for errors
	transport *http.Transport

	placeholders map[string]bool // SHA-256
}

var _ Subsonic = (*Server)(nil)

// New makes a Server without connecting to it; the caller closes it. Without a URL,
// and with one that is not http or https, every request fails with ErrRequest.
func New(config Config) *Server {
	if config.UserHeader == "" {
		config.UserHeader = "Remote-User"
	}
	if config.MaxBody <= 0 {
		config.MaxBody = 10 << 20
	}
	config.MaxBody = min(config.MaxBody, math.MaxInt64-1) // one byte more is read to see the end
	if config.Timeout <= 0 {
		config.Timeout = 10 * time.Second
	}
	if config.Placeholders == nil {
		config.Placeholders = knownPlaceholders()
	}
	s := &Server{config: config, placeholders: make(map[string]bool, len(config.Placeholders))}
	for _, sum := range config.Placeholders {
		s.placeholders[sum] = true
	}
	if u := config.URL; u != nil {
		s.name = (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
	}
	s.transport = &http.Transport{
		DialContext:            (&net.Dialer{Timeout: config.Timeout}).DialContext,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           16,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        time.Minute,
		TLSHandshakeTimeout:    config.Timeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
	return s
}

// Close closes the idle connections. Requests in flight go on.
func (s *Server) Close() { s.transport.CloseIdleConnections() }

// answer is an answer with any status but a redirect.
type answer struct {
	status string // such as "200 OK"
	code   int
	header http.Header
	body   []byte
}

// ask makes one exchange. Its errors are ErrRequest and ErrUnavailable.
func (s *Server) ask(ctx context.Context, request SubsonicRequest) (answer, error) {
	target, err := s.target(request)
	if err != nil {
		return answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	outgoing, err := newRequest(ctx, target)
	if err != nil {
		return answer{}, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	if user := s.config.URL.User; user != nil {
		password, _ := user.Password()
		outgoing.SetBasicAuth(user.Username(), password)
	}
	if s.config.FormatVia != nil && len(request.Via) > 0 {
		outgoing.Header.Set("Pluginhost-Via", s.config.FormatVia(request.Via))
	}
	outgoing.Header.Set(s.config.UserHeader, request.User)

	// The transport alone, for a client would follow redirects.
	incoming, err := s.transport.RoundTrip(outgoing)
	if err != nil {
		return answer{}, s.failed(err)
	}
	defer func() { _ = incoming.Body.Close() }()
	if incoming.StatusCode >= 300 && incoming.StatusCode < 400 {
		return answer{}, s.unavailable(nil, "points elsewhere with status %d: check [Navidrome] URL", incoming.StatusCode)
	}
	body, err := s.read(ctx, incoming)
	if err != nil {
		return answer{}, err
	}
	return answer{incoming.Status, incoming.StatusCode, incoming.Header, body}, nil
}

// newRequest makes a GET, or a POST of what is too long for one.
func newRequest(ctx context.Context, target *url.URL) (*http.Request, error) {
	if len(target.RawQuery) <= maxGetQueryBytes {
		return http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	}
	address := *target
	address.RawQuery = ""
	outgoing, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), strings.NewReader(target.RawQuery))
	if err != nil {
		return nil, err
	}
	outgoing.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return outgoing, nil
}

// target is the URL of a request, without user information.
func (s *Server) target(request SubsonicRequest) (*url.URL, error) {
	base := s.config.URL
	if base == nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("%w: set [Navidrome] URL to an http or https address", ErrRequest)
	}
	endpoint := request.Endpoint
	switch {
	case endpoint == "" || endpoint == "." || endpoint == ".." || strings.Contains(endpoint, "/"):
		return nil, fmt.Errorf("%w: %q is no endpoint of the Subsonic API", ErrRequest, shortened(endpoint))
	case len(endpoint) > maxEndpointBytes:
		return nil, fmt.Errorf("%w: an endpoint of %d bytes is over the limit of %d", ErrRequest, len(endpoint), maxEndpointBytes)
	case len(request.User) > maxUserBytes:
		return nil, fmt.Errorf("%w: a user name of %d bytes is over the limit of %d", ErrRequest, len(request.User), maxUserBytes)
	case !isHeaderValue(request.User):
		return nil, fmt.Errorf("%w: the user name %q is empty or has characters that no HTTP header can carry", ErrRequest, shortened(request.User))
	}
	query := EncodeQuery(request.Query)
	if len(query) > maxQueryBytes {
		return nil, fmt.Errorf("%w: parameters of %d bytes are over the limit of %d", ErrRequest, len(query), maxQueryBytes)
	}
	escaped := strings.TrimRight(base.EscapedPath(), "/") + "/rest/" + url.PathEscape(endpoint)
	path, err := url.PathUnescape(escaped)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	return &url.URL{Scheme: base.Scheme, Host: base.Host, Path: path, RawPath: escaped, RawQuery: query}, nil
}

// isHeaderValue says whether a value arrives as it was sent. Blanks at its ends would
// be cut off, and so make another user of it.
func isHeaderValue(value string) bool {
	if value == "" || strings.Trim(value, " \t") != value {
		return false
	}
	for i := range len(value) {
		if value[i] < ' ' || value[i] == 0x7f {
			return false
		}
	}
	return true
}

func (s *Server) read(ctx context.Context, incoming *http.Response) ([]byte, error) {
	body, more, err := hold.ReadAll(ctx, incoming.Body, incoming.ContentLength, s.config.MaxBody)
	switch {
	case more:
		return nil, s.unavailable(nil, "answered with more than the limit of %d bytes", s.config.MaxBody)
	case errors.Is(err, hold.ErrRefused):
		return nil, fmt.Errorf("read the answer of navidrome: %w", err)
	case err != nil:
		return nil, s.failed(err)
	}
	return body, nil
}

// failed makes the error for an exchange without an answer.
func (s *Server) failed(err error) error {
	var network net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return s.unavailable(err, "was not waited for")
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return s.unavailable(err, "did not answer in time")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return s.unavailable(err, "broke off its answer")
	default:
		return s.unavailable(err, "cannot be reached")
	}
}

func (s *Server) unavailable(cause error, format string, arguments ...any) error {
	return &unavailable{s.name, fmt.Sprintf(format, arguments...), cause}
}

// shortened bounds a foreign text in an error.
func shortened(text string) string {
	const most = 100
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
