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
	// Call is what is sent.
	Call Call
}

// Call is a call that goes wrong, whatever it is sent over.
type Call struct {
	// Plugin and Method are what is called.
	Plugin, Method string
	// Body is what is sent with it, and JSON says that the caller calls it JSON.
	Body []byte
	JSON bool
	// Timeout above 0 is what the plugin is given.
	Timeout time.Duration
	// Raw has it sent past the checks of Client, as any NATS client can, with one header if its name is not empty.
	Raw           bool
	Header, Value string
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
	failure = caller.send(ctx, k.Call)
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

// send sends a call over NATS, and returns what it fails with.
func (c Caller) send(ctx context.Context, call Call) error {
	switch {
	case call.Raw:
		return c.sendRaw(ctx, call)
	case call.JSON:
		_, err := c.Client.CallJSON(ctx, call.Plugin, call.Method, call.Body, call.Timeout)
		return err
	default:
		_, err := c.Client.Call(ctx, call.Plugin, call.Method, call.Body)
		return err
	}
}

func (c Caller) sendRaw(ctx context.Context, call Call) error {
	msg := nats.NewMsg(subjects.Call(call.Plugin, call.Method))
	msg.Data = call.Body
	if call.Header != "" {
		msg.Header.Set(call.Header, call.Value)
	}
	reply, err := c.Conn.RequestMsgWithContext(ctx, msg)
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

// guest asks a plugin of this package to misbehave; word is the artist's name,
// which only Probe looks at.
func guest(id, word string, timeout time.Duration) Call {
	body := "{}"
	if word != "" {
		body = fmt.Sprintf(`{"name":%q}`, word)
	}
	return Call{Plugin: id, Method: biography, Body: []byte(body), JSON: true, Timeout: timeout}
}

// message sends Probe a body with one header, as any NATS client can.
func message(body, header, value string) Call {
	return Call{Plugin: Probe, Method: biography, Body: []byte(body), Raw: true, Header: header, Value: value}
}

// call sends a binary message.
func call(id, method string, request []byte) Call {
	return Call{Plugin: id, Method: method, Body: request}
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
			Call: message(`{"name":`, "", "")},
		{Name: "JSON with an unknown field", Plugin: Probe, Want: subjects.ErrBadRequest, Says: "nosuchfield",
			Call: message(`{"nosuchfield":1}`, "", "")},
		{Name: "JSON with a string that is not UTF-8", Plugin: Probe, Want: subjects.ErrBadRequest, Says: "UTF-8",
			Call: message("{\"name\":\"\xff\"}", "", "")},
		{Name: "JSON by its content type that is none", Plugin: Probe, Want: subjects.ErrBadRequest, Says: "does not decode",
			Call: message("hello", subjects.HeaderContentType, subjects.ContentTypeJSON)},
		{Name: "JSON by its content type that is empty", Plugin: Probe, Want: subjects.ErrBadRequest, Says: "does not decode",
			Call: message("", subjects.HeaderContentType, subjects.ContentTypeJSON)},
		{Name: "JSON after a space is no JSON", Plugin: Probe, Want: subjects.ErrPlugin, Says: "",
			Call: message(` {"name":"x"}`, "", "")},
		{Name: "binary garbage", Plugin: Probe, Want: subjects.ErrPlugin, Says: "",
			Call: call(Probe, biography, []byte("\xff\xff\xff\xff garbage"))},
		{Name: "a timeout that is no duration", Plugin: Probe, Want: subjects.ErrBadRequest, Says: "want a Go duration such as 1.5s",
			Call: message("", subjects.HeaderTimeout, "ten seconds")},
		{Name: "a timeout that is over", Plugin: Probe, Want: subjects.ErrDeadlineExceeded, Says: "",
			Call: message("", subjects.HeaderTimeout, "-5s")},
		{Name: "an unknown method", Plugin: Probe, Want: subjects.ErrBadRequest, Says: `unknown method "get_artist_shoe_size": probe has get_album_images, `,
			Call: call(Probe, "get_artist_shoe_size", nil)},
		{Name: "a method of a capability that is not in the manifest", Plugin: Bystander, Want: subjects.ErrNotImplemented, Says: "is_authorized is a method of Scrobbler, which is not in the manifest of bystander",
			Call: call(Bystander, "is_authorized", nil)},
		{Name: "a callback of a capability that is not in the manifest", Plugin: Bystander, Want: subjects.ErrNotImplemented, Says: "SchedulerCallback, which is not in the manifest",
			Call: call(Bystander, "on_scheduler_callback", nil)},
		{Name: "a method that is only the host's", Plugin: Bystander, Want: subjects.ErrBadRequest, Says: "unknown method",
			Call: call(Bystander, "on_init", nil)},
		{Name: "an unknown plugin", Plugin: Bystander, Want: subjects.ErrUnavailable, Says: "put it into the plugins folder, or check the name with pluginhost plugin list",
			Call: call("nobody.knows it", biography, nil)},
		{Name: "an over-long id", Plugin: Bystander, Want: subjects.ErrBadRequest, Says: "the plugin id has 5000 bytes, the limit is 255",
			Call: call(strings.Repeat("x", 5000), biography, nil)},
		{Name: "an over-long method", Plugin: Bystander, Want: subjects.ErrBadRequest, Says: "unknown method",
			Call: call(Bystander, strings.Repeat("x", 5000), nil)},
		{Name: "a method that is no name", Plugin: Bystander, Want: subjects.ErrBadRequest, Says: "unknown method",
			Call: call(Bystander, "get\r\nPUB x 0\r\n", nil)},
		{Name: "an over-long request", Plugin: Bystander, Want: subjects.ErrTooLarge, Says: "max_payload is 1048576",
			Call: call(Bystander, biography, megabytes)},
	}
}

// megabytes is more than a server takes.
var megabytes = make([]byte, 2<<20)

// plugins are the kinds in which the plugin is wrong.
func plugins() []Kind {
	return []Kind{
		{Name: "a trap", Plugin: trapping, Want: subjects.ErrCrashed, Says: "unreachable", Call: guest(trapping, "", patience)},
		{Name: "a pointer out of bounds", Plugin: outOfBounds, Want: subjects.ErrCrashed, Says: "out of range of memory size", Call: guest(outOfBounds, "", patience)},
		{Name: "a size out of bounds", Plugin: huge, Want: subjects.ErrCrashed, Says: "out of range of memory size", Call: guest(huge, "", patience)},
		{Name: "an error without a text", Plugin: emptyError, Want: subjects.ErrPlugin, Says: "", Call: guest(emptyError, "", patience)},
		{Name: "a reply over max_payload", Plugin: tooLong, Want: subjects.ErrTooLarge, Says: "max_payload", Call: guest(tooLong, "", patience)},
		{Name: "a panic", Plugin: Probe, Want: subjects.ErrCrashed, Says: "", Call: guest(Probe, "panic", patience)},
		{Name: "an exit", Plugin: Probe, Want: subjects.ErrCrashed, Says: "exit_code(3)", Call: guest(Probe, "exit 3", patience)},
		{Name: "an error that is not found", Plugin: Probe, Want: subjects.ErrNotFound, Says: "", Call: guest(Probe, "error plugin:not_found", patience)},
		{Name: "an error of many lines", Plugin: Probe, Want: subjects.ErrPlugin, Says: "one  two", Call: guest(Probe, "error one\r\ntwo", patience)},
		{Name: "an error that is long", Plugin: Probe, Want: subjects.ErrPlugin, Says: "eeee", Call: guest(Probe, "error "+strings.Repeat("e", 100_000), patience)},
		{Name: "an answer that is no answer", Plugin: Probe, Want: nil, Call: guest(Probe, "nil", patience)},
		{Name: "forged log lines", Plugin: Probe, Want: nil, Call: guest(Probe, "forge 10000", patience)},

		{Name: "a loop", Plugin: Probe, Want: subjects.ErrDeadlineExceeded, Says: "stopped at the call's deadline", Dear: true, Call: guest(Probe, "loop", soon)},
		{Name: "a loop of one instruction", Plugin: looping, Want: subjects.ErrDeadlineExceeded, Says: "stopped at the call's deadline", Dear: true, Call: guest(looping, "", soon)},
		{Name: "a sleep", Plugin: Probe, Want: subjects.ErrDeadlineExceeded, Says: "stopped at the call's deadline", Dear: true, Call: guest(Probe, "sleep 600000", soon)},
		{Name: "a recursion", Plugin: Probe, Want: subjects.ErrCrashed, Says: "", Dear: true, Call: guest(Probe, "recurse", patience)},
		{Name: "a recursion of one instruction", Plugin: recursing, Want: subjects.ErrCrashed, Says: "stack overflow", Dear: true, Call: guest(recursing, "", patience)},
		{Name: "an allocation without end", Plugin: Probe, Want: subjects.ErrCrashed, Says: "", Dear: true, Call: guest(Probe, "allocate", patience)},
		{Name: "a flood of output", Plugin: Probe, Want: nil, Dear: true, Call: guest(Probe, "flood 20000", patience)},
		{Name: "an answer of a compiled plugin over max_payload", Plugin: Probe, Want: subjects.ErrTooLarge, Says: "max_payload", Dear: true, Call: guest(Probe, "big 2000000", patience)},
	}
}
