package abuse

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
)

// Kind is one way to go wrong.
type Kind struct {
	// Name says what is wrong.
	Name string
	// Plugin is the one that must answer the next good call.
	Plugin string
	// Want is the failure that the caller must see, nil for an answer, and Says
	// is in its text.
	Want error
	Says string
	// Dear tells a kind that takes a long time or much memory.
	Dear bool

	send func(ctx context.Context, caller Caller) error
}

// Caller is who does the harm.
type Caller struct {
	Client *client.Client
	Conn   *nats.Conn
}

// NewCaller returns a Caller on a connection, which stays the caller's to close.
func NewCaller(conn *nats.Conn) Caller { return Caller{client.New(conn), conn} }

// Check does it once. The error says how the outcome differs from what Kind
// wants; failure is the outcome.
func (k Kind) Check(ctx context.Context, caller Caller) (failure, err error) {
	failure = k.send(ctx, caller)
	switch {
	case Code(failure) != k.Code():
		return failure, fmt.Errorf("%s: got %.300q, want %d", k.Name, fmt.Sprint(failure), k.Code())
	case failure == nil:
		return nil, nil
	case !strings.Contains(failure.Error(), k.Says):
		return failure, fmt.Errorf("%s: %.300q does not say %q", k.Name, failure.Error(), k.Says)
	default:
		return failure, nil
	}
}

// Code is the code on the wire: 0 for no failure, -1 for one that is not of the
// contract, such as a lost connection.
func Code(failure error) int {
	if failure == nil {
		return 0
	}
	var failed *subjects.Error
	if !errors.As(failure, &failed) {
		return -1
	}
	return failed.Code()
}

// Code is the code of what Kind wants.
func (k Kind) Code() int {
	if k.Want == nil {
		return 0
	}
	return subjects.Code(k.Want)
}

// Good makes the call that must succeed after any abuse.
func Good(ctx context.Context, caller Caller, id string) error {
	const request = "\x12\x04good" // field 2, the name
	want := request
	if id == Probe {
		want = "\x0a\x11biography of good"
	}
	got, err := caller.Client.Call(ctx, id, "get_artist_biography", []byte(request))
	if err != nil {
		return fmt.Errorf("good call of %s: %w", id, err)
	}
	if string(got) != want {
		return fmt.Errorf("good call of %s: got %.80q, want %q", id, got, want)
	}
	return nil
}

// guest asks a plugin of this package to misbehave; word is the artist's name,
// which only Probe looks at.
func guest(id, word string, timeout time.Duration) func(context.Context, Caller) error {
	body := "{}"
	if word != "" {
		body = fmt.Sprintf(`{"name":%q}`, word)
	}
	return func(ctx context.Context, caller Caller) error {
		_, err := caller.Client.CallJSON(ctx, id, "get_artist_biography", []byte(body), timeout)
		return err
	}
}

// message sends Probe a body with one header, as any NATS client can.
func message(body, header, value string) func(context.Context, Caller) error {
	return func(ctx context.Context, caller Caller) error {
		msg := nats.NewMsg(subjects.Call(Probe, biography))
		msg.Data = []byte(body)
		if header != "" {
			msg.Header.Set(header, value)
		}
		reply, err := caller.Conn.RequestMsgWithContext(ctx, msg)
		if err != nil {
			return err
		}
		code := reply.Header.Get(subjects.HeaderErrorCode)
		if code == "" {
			return nil
		}
		number, err := strconv.Atoi(code)
		if err != nil {
			return err
		}
		return subjects.FromCode(number, reply.Header.Get(subjects.HeaderError))
	}
}

// call sends a binary message with the client.
func call(id, method string, request []byte) func(context.Context, Caller) error {
	return func(ctx context.Context, caller Caller) error {
		_, err := caller.Client.Call(ctx, id, method, request)
		return err
	}
}

const (
	biography = "get_artist_biography"
	// patience is a time that no kind needs.
	patience = 30 * time.Second
	// soon is when what never ends is stopped.
	soon = 50 * time.Millisecond
)

// Kinds returns every kind, in a fixed order.
func Kinds() []Kind { return append(callers(), plugins()...) }

// callers are the kinds in which the caller is wrong.
func callers() []Kind {
	return []Kind{
		{Name: "JSON that does not parse", Plugin: Probe, Want: subjects.ErrBadRequest, Says: "does not decode",
			send: message(`{"name":`, "", "")},
		{Name: "JSON with an unknown field", Plugin: Probe, Want: subjects.ErrBadRequest, Says: "nosuchfield",
			send: message(`{"nosuchfield":1}`, "", "")},
		{Name: "JSON with a string that is not UTF-8", Plugin: Probe, Want: subjects.ErrBadRequest, Says: "UTF-8",
			send: message("{\"name\":\"\xff\"}", "", "")},
		{Name: "JSON by its content type that is none", Plugin: Probe, Want: subjects.ErrBadRequest, Says: "does not decode",
			send: message("hello", subjects.HeaderContentType, subjects.ContentTypeJSON)},
		{Name: "JSON by its content type that is empty", Plugin: Probe, Want: subjects.ErrBadRequest, Says: "does not decode",
			send: message("", subjects.HeaderContentType, subjects.ContentTypeJSON)},
		{Name: "JSON after a space is no JSON", Plugin: Probe, Want: subjects.ErrPlugin, Says: "",
			send: message(` {"name":"x"}`, "", "")},
		{Name: "binary garbage", Plugin: Probe, Want: subjects.ErrPlugin, Says: "",
			send: call(Probe, biography, []byte("\xff\xff\xff\xff garbage"))},
		{Name: "a timeout that is no duration", Plugin: Probe, Want: subjects.ErrBadRequest, Says: "want a Go duration such as 1.5s",
			send: message("", subjects.HeaderTimeout, "ten seconds")},
		{Name: "a timeout that is over", Plugin: Probe, Want: subjects.ErrDeadlineExceeded, Says: "",
			send: message("", subjects.HeaderTimeout, "-5s")},
		{Name: "an unknown method", Plugin: Probe, Want: subjects.ErrBadRequest, Says: `unknown method "get_artist_shoe_size": probe has get_album_images, `,
			send: call(Probe, "get_artist_shoe_size", nil)},
		{Name: "a method of a capability that is not in the manifest", Plugin: Bystander, Want: subjects.ErrNotImplemented, Says: "is_authorized is a method of Scrobbler, which is not in the manifest of bystander",
			send: call(Bystander, "is_authorized", nil)},
		{Name: "a callback of a capability that is not in the manifest", Plugin: Bystander, Want: subjects.ErrNotImplemented, Says: "SchedulerCallback, which is not in the manifest",
			send: func(ctx context.Context, caller Caller) error {
				_, err := caller.Client.Call(ctx, Bystander, "on_scheduler_callback", nil)
				return err
			}},
		{Name: "a method that is only the host's", Plugin: Bystander, Want: subjects.ErrBadRequest, Says: "unknown method",
			send: call(Bystander, "on_init", nil)},
		{Name: "an unknown plugin", Plugin: Bystander, Want: subjects.ErrUnavailable, Says: "put it into the plugins folder, or check the name with pluginhost plugin list",
			send: call("nobody.knows it", biography, nil)},
		{Name: "an over-long id", Plugin: Bystander, Want: subjects.ErrBadRequest, Says: "the plugin id has 5000 bytes, the limit is 255",
			send: call(strings.Repeat("x", 5000), biography, nil)},
		{Name: "an over-long method", Plugin: Bystander, Want: subjects.ErrBadRequest, Says: "unknown method",
			send: call(Bystander, strings.Repeat("x", 5000), nil)},
		{Name: "a method that is no name", Plugin: Bystander, Want: subjects.ErrBadRequest, Says: "unknown method",
			send: call(Bystander, "get\r\nPUB x 0\r\n", nil)},
		{Name: "an over-long request", Plugin: Bystander, Want: subjects.ErrTooLarge, Says: "max_payload is 1048576",
			send: call(Bystander, biography, megabytes)},
	}
}

// megabytes is more than a server takes.
var megabytes = make([]byte, 2<<20)

// plugins are the kinds in which the plugin is wrong.
func plugins() []Kind {
	return []Kind{
		{Name: "a trap", Plugin: trapping, Want: subjects.ErrCrashed, Says: "unreachable", send: guest(trapping, "", patience)},
		{Name: "a pointer out of bounds", Plugin: outOfBounds, Want: subjects.ErrCrashed, Says: "out of range of memory size", send: guest(outOfBounds, "", patience)},
		{Name: "a size out of bounds", Plugin: huge, Want: subjects.ErrCrashed, Says: "out of range of memory size", send: guest(huge, "", patience)},
		{Name: "an error without a text", Plugin: emptyError, Want: subjects.ErrPlugin, Says: "", send: guest(emptyError, "", patience)},
		{Name: "a reply over max_payload", Plugin: tooLong, Want: subjects.ErrTooLarge, Says: "max_payload", send: guest(tooLong, "", patience)},
		{Name: "a panic", Plugin: Probe, Want: subjects.ErrCrashed, Says: "", send: guest(Probe, "panic", patience)},
		{Name: "an exit", Plugin: Probe, Want: subjects.ErrCrashed, Says: "exit_code(3)", send: guest(Probe, "exit 3", patience)},
		{Name: "an error that is not found", Plugin: Probe, Want: subjects.ErrNotFound, Says: "", send: guest(Probe, "error plugin:not_found", patience)},
		{Name: "an error of many lines", Plugin: Probe, Want: subjects.ErrPlugin, Says: "one  two", send: guest(Probe, "error one\r\ntwo", patience)},
		{Name: "an error that is long", Plugin: Probe, Want: subjects.ErrPlugin, Says: "eeee", send: guest(Probe, "error "+strings.Repeat("e", 100_000), patience)},
		{Name: "an answer that is no answer", Plugin: Probe, Want: nil, send: guest(Probe, "nil", patience)},
		{Name: "forged log lines", Plugin: Probe, Want: nil, send: guest(Probe, "forge 10000", patience)},

		{Name: "a loop", Plugin: Probe, Want: subjects.ErrDeadlineExceeded, Says: "stopped at the call's deadline", Dear: true, send: guest(Probe, "loop", soon)},
		{Name: "a loop of one instruction", Plugin: looping, Want: subjects.ErrDeadlineExceeded, Says: "stopped at the call's deadline", Dear: true, send: guest(looping, "", soon)},
		{Name: "a sleep", Plugin: Probe, Want: subjects.ErrDeadlineExceeded, Says: "stopped at the call's deadline", Dear: true, send: guest(Probe, "sleep 600000", soon)},
		{Name: "a recursion", Plugin: Probe, Want: subjects.ErrCrashed, Says: "", Dear: true, send: guest(Probe, "recurse", patience)},
		{Name: "a recursion of one instruction", Plugin: recursing, Want: subjects.ErrCrashed, Says: "stack overflow", Dear: true, send: guest(recursing, "", patience)},
		{Name: "an allocation without end", Plugin: Probe, Want: subjects.ErrCrashed, Says: "", Dear: true, send: guest(Probe, "allocate", patience)},
		{Name: "a flood of output", Plugin: Probe, Want: nil, Dear: true, send: guest(Probe, "flood 20000", patience)},
		{Name: "an answer of a compiled plugin over max_payload", Plugin: Probe, Want: subjects.ErrTooLarge, Says: "max_payload", Dear: true, send: guest(Probe, "big 2000000", patience)},
	}
}
