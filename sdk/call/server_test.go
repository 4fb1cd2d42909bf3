package call_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
)

// reply is what a caller gets.
type reply struct {
	times    int
	response string
	failure  *subjects.Error
	most     int // bytes of a response; 0 is any number
}

func (r *reply) Fits(response []byte) error {
	if r.most > 0 && len(response) > r.most {
		return subjects.Errorf(subjects.ErrTooLarge, "%d bytes", len(response))
	}
	return nil
}

func (r *reply) Reply(response []byte, failure *subjects.Error) {
	r.times++
	r.response, r.failure = string(response), failure
}

// String is the response or the failure.
func (r reply) String() string {
	if r.failure != nil {
		return r.failure.Error()
	}
	return r.response
}

// observed are the calls that an Observer was told of.
type observed []call.Observation

func (o *observed) Observe(seen call.Observation) { *o = append(*o, seen) }

// answers is a method whose JSON is in capitals on its way in, and in brackets on its way out.
func answers(answer func(ctx context.Context, request []byte) ([]byte, error)) call.Method {
	return call.Method{
		Call: call.Returning(answer),
		RequestFromJSON: func(b []byte) ([]byte, error) {
			if !strings.HasPrefix(string(b), "{") {
				return nil, errors.New("no JSON")
			}
			return []byte(strings.ToUpper(string(b))), nil
		},
		ResponseToJSON: func(b []byte) ([]byte, error) {
			if len(b) == 0 {
				return nil, errors.New("no message")
			}
			return []byte("[" + string(b) + "]"), nil
		},
	}
}

// config is a plugin of two methods, and of a callback.
func config(o call.Observer) call.Config {
	methods := map[string]call.Method{
		"echo": answers(func(_ context.Context, request []byte) ([]byte, error) { return request, nil }),
		"fail": answers(func(context.Context, []byte) ([]byte, error) { return nil, errors.New("no luck") }),
		"none": answers(func(context.Context, []byte) ([]byte, error) { return nil, nil }),
		"bug":  answers(func(context.Context, []byte) ([]byte, error) { panic("a bug") }),
		"mute": {Call: func(context.Context, []byte, func(call.Answer)) {}},
		"slow": answers(func(ctx context.Context, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, subjects.Errorf(subjects.ErrDeadlineExceeded, "over after %v", call.TimeLimit(ctx))
		}),
		"waits": {Call: func(_ context.Context, request []byte, reply func(call.Answer)) {
			reply(call.Answer{Response: request, Waited: time.Second, Ran: time.Minute})
		}},
		"via": answers(func(ctx context.Context, _ []byte) ([]byte, error) {
			return []byte(strings.Join(call.Via(ctx), " ")), nil
		}),
	}
	return call.Config{
		ID: "p",
		Resolve: func(name string, callback bool) (call.Method, error) {
			method, ok := methods[strings.TrimPrefix(name, "on_")]
			if !ok || callback != strings.HasPrefix(name, "on_") {
				return call.Method{}, subjects.Errorf(subjects.ErrBadRequest, "unknown method %s", name)
			}
			return method, nil
		},
		Failed: func(method string, panicked any) error {
			return subjects.Errorf(subjects.ErrCrashed, "%s: %v", method, panicked)
		},
		Observer: o,
		Limits:   call.Limits{Timeout: time.Hour, MaxTimeout: 20 * time.Millisecond},
	}
}

func TestEveryCallIsRepliedToOnceAndObserved(t *testing.T) {
	for name, c := range map[string]struct {
		request call.Request
		most    int
		want    string
		seen    call.Observation
	}{
		"bytes":                 {call.Request{Method: "echo", Body: []byte("x"), Trace: "t"}, 0, "x", call.Observation{Method: "echo", Trace: "t", In: 1, Out: 1}},
		"a callback":            {call.Request{Method: "on_echo", Callback: true}, 0, "", call.Observation{Method: "on_echo", Callback: true}},
		"JSON":                  {call.Request{Method: "echo", Body: []byte("{a}"), JSON: true}, 0, "[{A}]", call.Observation{Method: "echo", In: 3, Out: 5}},
		"JSON that is none":     {call.Request{Method: "echo", Body: []byte("a"), JSON: true}, 0, "400 bad_request: the JSON body does not decode: no JSON", call.Observation{Method: "echo", In: 1}},
		"a broken response":     {call.Request{Method: "none", Body: []byte("{}"), JSON: true}, 0, "502 plugin_crashed: the plugin's response is broken: no message", call.Observation{Method: "none", In: 2}},
		"an unknown method":     {call.Request{Method: "any", Body: []byte("x")}, 0, "400 bad_request: unknown method any", call.Observation{In: 1}},
		"a callback as method":  {call.Request{Method: "on_echo"}, 0, "400 bad_request: unknown method on_echo", call.Observation{}},
		"an error":              {call.Request{Method: "fail"}, 0, "500 plugin_error: no luck", call.Observation{Method: "fail"}},
		"who waits":             {call.Request{Method: "via", Via: []string{"a", "b"}}, 0, "a b", call.Observation{Method: "via", Out: 3}},
		"a round":               {call.Request{Method: "via", Via: []string{"a", "p"}}, 0, "400 bad_request: the call leads back into plugin p, which is waiting for it", call.Observation{Method: "via"}},
		"a fault":               {call.Request{Method: "echo", Fault: errors.New("bad")}, 0, "500 plugin_error: bad", call.Observation{Method: "echo"}},
		"a fault and no method": {call.Request{Method: "any", Fault: errors.New("bad")}, 0, "400 bad_request: unknown method any", call.Observation{}},
		"a long response":       {call.Request{Method: "echo", Body: []byte("abc")}, 2, "413 too_large: 3 bytes", call.Observation{Method: "echo", In: 3}},
		"a panic":               {call.Request{Method: "bug"}, 0, "502 plugin_crashed: bug: a bug", call.Observation{Method: "bug"}},
		"no answer":             {call.Request{Method: "mute"}, 0, "502 plugin_crashed: mute: <nil>", call.Observation{Method: "mute"}},
		"a timeout":             {call.Request{Method: "slow", Timeout: call.Within(time.Millisecond)}, 0, "408 deadline_exceeded: over after 1ms", call.Observation{Method: "slow"}},
		"a timeout of 0":        {call.Request{Method: "slow", Timeout: call.Within(0)}, 0, "408 deadline_exceeded: over after 0s", call.Observation{Method: "slow"}},
		"a timeout beyond most": {call.Request{Method: "slow", Timeout: call.Within(time.Hour)}, 0, "408 deadline_exceeded: over after 20ms", call.Observation{Method: "slow"}},
		"what a guest tells":    {call.Request{Method: "waits"}, 0, "", call.Observation{Method: "waits", Waited: time.Second, Ran: time.Minute}},
	} {
		t.Run(name, func(t *testing.T) {
			var seen observed
			got := reply{most: c.most}
			call.NewServer(config(&seen)).Do(t.Context(), c.request, &got)
			if got.times != 1 || got.String() != c.want {
				t.Errorf("replied %d times, got %q, want %q", got.times, got, c.want)
			}
			if len(seen) != 1 {
				t.Fatalf("observed %+v", seen)
			}
			if (seen[0].Err == nil) != (got.failure == nil) || got.failure != nil && seen[0].Code() != got.failure.Code() {
				t.Errorf("observed %v with the code %d, the caller has %v", seen[0].Err, seen[0].Code(), got.failure)
			}
			if seen[0].Took <= 0 {
				t.Errorf("it took %v", seen[0].Took)
			}
			seen[0].Err, seen[0].Took = nil, 0
			if seen[0] != c.seen {
				t.Errorf("observed %+v, want %+v", seen[0], c.seen)
			}
		})
	}
}

func TestATimeoutOfTheServerBoundsWhoSaysNone(t *testing.T) {
	c := config(nil)
	c.Limits.Timeout = time.Millisecond
	server := call.NewServer(c)
	var got reply
	server.Do(t.Context(), call.Request{Method: "slow"}, &got)
	if got.String() != "408 deadline_exceeded: over after 1ms" {
		t.Error(got)
	}
	server.SetLimits(call.Limits{Timeout: 2 * time.Millisecond})
	server.Do(t.Context(), call.Request{Method: "slow"}, &got)
	if got.String() != "408 deadline_exceeded: over after 2ms" {
		t.Errorf("with other limits: %v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	server.SetLimits(call.Limits{Timeout: time.Hour})
	server.Do(ctx, call.Request{Method: "slow"}, &got) // ends, as its context has
	if !errors.Is(got.failure, subjects.ErrDeadlineExceeded) {
		t.Errorf("a caller that is gone: %v", got)
	}
}

func TestAPlaceIsFreeOnceACallIsOver(t *testing.T) {
	var seen observed
	c := config(&seen)
	c.Limits.MaxInFlight = 1
	server := call.NewServer(c)
	var first, second call.Admission
	if err := server.Admit(&first, call.Request{Method: "bug"}); err != nil {
		t.Fatal(err)
	}
	refused := call.Request{Method: "echo", Body: []byte("x")}
	err := server.Admit(&second, refused)
	if failure := server.Refuse(refused, err); !errors.Is(failure, subjects.ErrOverloaded) || failure.Text != "1 calls are running or waiting: try again later" {
		t.Errorf("the second got %v", failure)
	}
	if want := (call.Observation{Err: err, In: 1}); len(seen) != 1 || seen[0] != want || seen[0].Code() != 429 {
		t.Errorf("observed %+v", seen)
	}
	first.Serve(t.Context(), new(reply)) // panics
	if err := server.Admit(&second, refused); err != nil {
		t.Fatal(err)
	}
	second.Leave()
	var got reply
	server.Do(t.Context(), refused, &got)
	if got.String() != "x" {
		t.Errorf("the last got %v", got)
	}
}

func TestAPanicGoesOnWithoutFailed(t *testing.T) {
	c := config(nil)
	c.Failed = nil
	defer func() {
		if recover() == nil {
			t.Error("nobody sees the panic")
		}
	}()
	call.NewServer(c).Do(t.Context(), call.Request{Method: "bug"}, new(reply))
}

// A body of JSON is charged from its arrival until it is converted, or never will be.
func TestWhatALongBodyOfJSONTakesIsGivenBack(t *testing.T) {
	body := []byte("{" + strings.Repeat("x", 10_000))
	for name, request := range map[string]call.Request{
		"converted":         {Method: "echo", Body: body, JSON: true},
		"no JSON":           {Method: "echo", Body: body[1:], JSON: true},
		"an unknown method": {Method: "any", Body: body, JSON: true},
		"a round":           {Method: "echo", Body: body, JSON: true, Via: []string{"p"}},
		"no time":           {Method: "echo", Body: body, JSON: true, Timeout: call.Within(-1)},
		"a panic":           {Method: "bug", Body: body, JSON: true},
	} {
		t.Run(name, func(t *testing.T) {
			held, charged := int64(0), int64(0)
			c := config(nil)
			c.Turns = call.NewTurns()
			c.Hold = func(bytes int64) (func(), error) {
				held, charged = held+bytes, charged+bytes
				return func() { held -= bytes }, nil
			}
			server := call.NewServer(c)
			server.Do(t.Context(), request, new(reply))
			var left call.Admission
			if err := server.Admit(&left, request); err != nil || held == 0 {
				t.Errorf("%d bytes are charged for a call that has arrived, %v", held, err)
			}
			left.Leave()
			if held != 0 || charged == 0 {
				t.Errorf("%d of %d bytes are still charged", held, charged)
			}
		})
	}
}

func TestCallsAreCountedByMethod(t *testing.T) {
	stats := new(call.Stats)
	server := call.NewServer(config(stats))
	for _, method := range []string{"echo", "echo", "fail", "any", "other"} {
		server.Do(t.Context(), call.Request{Method: method}, new(reply))
	}
	for method, want := range map[string]call.MethodStats{
		"echo": {Requests: 2}, "fail": {Requests: 1, Errors: 1, LastError: "no luck"}, "any": {},
		"": {Requests: 2, Errors: 2, LastError: "400 bad_request: unknown method other"},
	} {
		got := stats.Of(method)
		got.Time = 0
		if got != want {
			t.Errorf("%s: %+v, want %+v", method, got, want)
		}
	}
	sum := stats.Sum()
	if sum.Time <= 0 || sum.Requests != 5 || sum.Errors != 3 || sum.LastError != "" {
		t.Errorf("together %+v", sum)
	}
}
