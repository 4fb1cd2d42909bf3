package websocket_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	gorilla "github.com/gorilla/websocket"

	"github.com/pluginhost/pluginhost/hostsvc/netguard"
	"github.com/pluginhost/pluginhost/hostsvc/websocket"
	api "github.com/pluginhost/pluginhost/sdk/api/host/websocket"
)

func TestWhatAPluginSendsReachesTheServer(t *testing.T) {
	t.Parallel()
	type message struct {
		kind int
		data string
	}
	seen := make(chan message, 2)
	url := serve(t, func(conn *gorilla.Conn, _ *http.Request) {
		for {
			kind, data, err := conn.ReadMessage()
			if err != nil {
				return
			}
			seen <- message{kind, string(data)}
		}
	})
	service, _ := newService(t, anywhere())
	if got := connect(t, service, &api.ConnectRequest{Url: url, ConnectionId: "a:b\x00\xff"}); got.Error != "" || got.ConnectionId != "a:b\x00\xff" {
		t.Fatalf("got %v", got)
	}
	sent, err := service.SendText(t.Context(), &api.SendTextRequest{ConnectionId: "a:b\x00\xff", Message: "\xffnot UTF-8"})
	if err != nil || sent.Error != "" {
		t.Fatal(sent, err)
	}
	if got := await(t, "text", seen); got != (message{gorilla.TextMessage, "\xffnot UTF-8"}) {
		t.Errorf("the server saw %v", got)
	}
	sentBinary, err := service.SendBinary(t.Context(), &api.SendBinaryRequest{ConnectionId: "a:b\x00\xff", Data: []byte{0, 1}})
	if err != nil || sentBinary.Error != "" {
		t.Fatal(sentBinary, err)
	}
	if got := await(t, "binary message", seen); got != (message{gorilla.BinaryMessage, "\x00\x01"}) {
		t.Errorf("the server saw %v", got)
	}
}

func TestAnIDIsMadeUpWhereNoneIsGiven(t *testing.T) {
	t.Parallel()
	service, sockets := newService(t, anywhere())
	url := serve(t, echo)
	shape, ids := regexp.MustCompile(`^[-_0-9a-zA-Z]{10}$`), map[string]bool{}
	for range 20 {
		id := connect(t, service, &api.ConnectRequest{Url: url}).ConnectionId
		if _, err := sockets.find(id); err != nil || !shape.MatchString(id) {
			t.Errorf("id %q: %v", id, err)
		}
		ids[id] = true
	}
	if len(ids) != 20 {
		t.Errorf("%d different ids of 20", len(ids))
	}
}

func TestAnIDIsBounded(t *testing.T) {
	t.Parallel()
	service, sockets := newService(t, anywhere())
	url := serve(t, echo)
	longest := strings.Repeat("i", websocket.MaxID)
	if got := connect(t, service, &api.ConnectRequest{Url: url, ConnectionId: longest}); got.Error != "" {
		t.Error(got.Error)
	}
	got := connect(t, service, &api.ConnectRequest{Url: url, ConnectionId: longest + "i"})
	if got.Error != "failed to connect to WebSocket server: connection id of 16385 bytes is over the limit of 16384 bytes" {
		t.Errorf("got %q", got.Error)
	}
	if len(sockets.connections) != 1 {
		t.Errorf("%d connections", len(sockets.connections))
	}
}

func TestAnUnknownConnectionIsNotFound(t *testing.T) {
	t.Parallel()
	service, _ := newService(t, anywhere())
	for _, id := range []string{"nobody", "", strings.Repeat("i", websocket.MaxID+1)} {
		text, err1 := service.SendText(t.Context(), &api.SendTextRequest{ConnectionId: id})
		binary, err2 := service.SendBinary(t.Context(), &api.SendBinaryRequest{ConnectionId: id})
		closed, err3 := service.Close(t.Context(), &api.CloseRequest{ConnectionId: id, Code: 1000})
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Errorf("a Go error: %v", err)
		}
		for _, got := range []string{text.Error, binary.Error, closed.Error} {
			if got != "connection not found" {
				t.Errorf("id %.10q: got %q", id, got)
			}
		}
	}
}

func TestMissingRequestsAreErrorsNotPanics(t *testing.T) {
	t.Parallel()
	service, _ := newService(t, anywhere())
	connected := connect(t, service, nil)
	text, _ := service.SendText(t.Context(), nil)
	binary, _ := service.SendBinary(t.Context(), nil)
	closed, _ := service.Close(t.Context(), nil)
	if slices.Contains([]string{connected.Error, text.Error, binary.Error, closed.Error}, "") {
		t.Fatal("no error")
	}
}

func TestAMessageOverTheLimitIsNotSent(t *testing.T) {
	t.Parallel()
	config := anywhere()
	config.MaxMessage = 1000
	service, _ := newService(t, config)
	connect(t, service, &api.ConnectRequest{Url: serve(t, echo), ConnectionId: "c"})
	for size, want := range map[int]string{
		1000: "",
		1001: "failed to send message: message of 1001 bytes is over the limit of 1000 bytes",
	} {
		text, _ := service.SendText(t.Context(), &api.SendTextRequest{ConnectionId: "c", Message: strings.Repeat("x", size)})
		binary, _ := service.SendBinary(t.Context(), &api.SendBinaryRequest{ConnectionId: "c", Data: make([]byte, size)})
		if text.Error != want || binary.Error != want {
			t.Errorf("%d bytes: got %q and %q, want %q", size, text.Error, binary.Error, want)
		}
	}
}

func TestCloseSendsCodeAndReason(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		code   int32
		reason string
		want   int
	}{
		{0, "", 1000},
		{1001, "bye", 1001},
		{4321, strings.Repeat("ü", 61), 4321},
	} {
		seen := make(chan error, 1)
		service, _ := newService(t, anywhere())
		connect(t, service, &api.ConnectRequest{
			Url:          serve(t, func(conn *gorilla.Conn, _ *http.Request) { seen <- drain(conn) }),
			ConnectionId: "c",
		})
		if got, _ := service.Close(t.Context(), &api.CloseRequest{ConnectionId: "c", Code: test.code, Reason: test.reason}); got.Error != "" {
			t.Error(got.Error)
		}
		var frame *gorilla.CloseError
		if err := await(t, "close frame", seen); !errors.As(err, &frame) || frame.Code != test.want || frame.Text != test.reason {
			t.Errorf("code %d: the server saw %v", test.code, err)
		}
		if got, _ := service.Close(t.Context(), &api.CloseRequest{ConnectionId: "c"}); got.Error != "connection not found" {
			t.Errorf("closed again: got %q", got.Error)
		}
	}
}

func TestAConnectionCannotBeClosedWithANonsenseCode(t *testing.T) {
	t.Parallel()
	service, sockets := newService(t, anywhere())
	connect(t, service, &api.ConnectRequest{Url: serve(t, echo), ConnectionId: "c"})
	got, _ := service.Close(t.Context(), &api.CloseRequest{ConnectionId: "c", Code: 1006})
	if want := "failed to close connection: close code 1006 is reserved and cannot be sent: use 1000, or 3000 to 4999"; got.Error != want {
		t.Errorf("got %q", got.Error)
	}
	if _, err := sockets.find("c"); err != nil {
		t.Error("the connection is gone")
	}
}

func TestOnlyAConnectionThatMayBeMadeReplacesOne(t *testing.T) {
	t.Parallel()
	url := serve(t, echo)
	config := anywhere()
	config.AllowedURLs = []string{url}
	service, sockets := newService(t, config)
	connect(t, service, &api.ConnectRequest{Url: url, ConnectionId: "c"})
	connect(t, service, &api.ConnectRequest{Url: "ws://other.example", ConnectionId: "c"})
	connect(t, service, &api.ConnectRequest{Url: url, ConnectionId: "c", Headers: map[string]string{"Upgrade": "x"}})
	if len(sockets.closed) != 0 {
		t.Fatal("the connection was closed for one that is refused")
	}
	connect(t, service, &api.ConnectRequest{Url: url, ConnectionId: "c"})
	if !slices.Equal(sockets.closed, []string{"c"}) {
		t.Fatalf("closed: %v", sockets.closed)
	}
}

// broken is Sockets that have errors of their own.
type broken struct{ err error }

func (b broken) Connect(context.Context, websocket.Opening) error {
	return b.err
}
func (b broken) Send(context.Context, string, websocket.Message) error { return b.err }
func (b broken) Close(context.Context, string, int, string) error      { return b.err }

func TestErrorsOfTheSocketsAreToldAndBounded(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err                   error
		connect, send, closed string
	}{
		{errors.New("no room"), "failed to connect to WebSocket server: no room", "failed to send message: no room", "failed to close connection: no room"},
		{
			errors.New(strings.Repeat("\xff", 1<<20)),
			"failed to connect to WebSocket server: \uFFFD", "failed to send message: \uFFFD", "failed to close connection: \uFFFD",
		},
	} {
		config := anywhere()
		config.Sockets = broken{test.err}
		service, err := websocket.New(config)
		if err != nil {
			t.Fatal(err)
		}
		connected := connect(t, service, &api.ConnectRequest{Url: "ws://a.example"})
		sent, _ := service.SendText(t.Context(), &api.SendTextRequest{ConnectionId: "c"})
		closed, _ := service.Close(t.Context(), &api.CloseRequest{ConnectionId: "c"})
		for got, want := range map[string]string{connected.Error: test.connect, sent.Error: test.send, closed.Error: test.closed} {
			if !strings.HasPrefix(got, want) || len(got) > 4<<10 {
				t.Errorf("got %d bytes, %.80q, want %q", len(got), got, want)
			}
		}
	}
}

func TestABadConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	good := websocket.Config{AllowedURLs: []string{"*"}, Sockets: broken{}}
	for _, test := range []struct {
		name   string
		change func(*websocket.Config)
		want   []string
	}{
		{"no patterns", func(c *websocket.Config) { c.AllowedURLs = nil }, []string{"allowedUrls must contain at least one URL pattern"}},
		{"a bad pattern", func(c *websocket.Config) { c.AllowedURLs = []string{"example.com"} }, []string{`"example.com"`}},
		{"a Navidrome without a host", func(c *websocket.Config) { c.Navidrome = &url.URL{Scheme: "http", Path: "/x"} }, []string{"address of Navidrome"}},
		{"a negative size", func(c *websocket.Config) { c.MaxMessage = -1 }, []string{"must not be negative"}},
		{"a negative interval", func(c *websocket.Config) { c.PingInterval = -1 }, []string{"must not be negative"}},
		{"no sockets", func(c *websocket.Config) { c.Sockets = nil }, []string{"sockets"}},
		{
			"everything", func(c *websocket.Config) {
				*c = websocket.Config{DialTimeout: -1, WriteTimeout: -1, AllowedURLs: []string{"x", "y"}}
			},
			[]string{`"x"`, `"y"`, "must not be negative", "sockets"},
		},
	} {
		config := good
		test.change(&config)
		_, err := websocket.New(config)
		for _, want := range test.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q in it", test.name, err, want)
			}
		}
	}
	good.AllowedURLs = []string{"x"}
	if _, err := websocket.New(good); !errors.Is(err, netguard.ErrPattern) {
		t.Errorf("got %v, want ErrPattern", err)
	}
}
