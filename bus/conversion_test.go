package bus_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// large is a body of JSON that waits for its turn.
func large(size int) string { return `{"a":"` + strings.Repeat("x", size) + `"}` }

// heldJSON is a method that converts requests as long as nothing is on release.
func heldJSON(converting chan<- string, release <-chan struct{}) call.Method {
	method := echo()
	method.RequestFromJSON = func(b []byte) ([]byte, error) {
		converting <- string(b)
		<-release
		return []byte("converted"), nil
	}
	return method
}

// send sends a request whose reply goes to a subscription.
func send(t *testing.T, conn *nats.Conn, replies *nats.Subscription, subject, body string, header ...string) {
	t.Helper()
	msg := nats.NewMsg(subject)
	msg.Reply, msg.Data = replies.Subject, []byte(body)
	for i := 0; i < len(header); i += 2 {
		msg.Header.Set(header[i], header[i+1])
	}
	if err := conn.PublishMsg(msg); err != nil {
		t.Fatal(err)
	}
}

func next(t *testing.T, replies *nats.Subscription) *nats.Msg {
	t.Helper()
	reply, err := replies.NextMsg(wait)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

func TestJSONOfOnePluginDoesNotMakeAnotherWait(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	b := testenv.Bus(t, url)
	converting, release := make(chan string), make(chan struct{})
	serve(t, b, "busy", heldJSON(converting, release))
	serve(t, b, "other", echo())
	conn := testenv.Connect(t, url)
	replies, err := conn.SubscribeSync(nats.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	const calls = 100
	for range calls {
		send(t, conn, replies, "plugins.busy.get", large(10_000))
	}
	<-converting // the first of them
	if reply := request(t, conn, "plugins.other.get", large(10_000)); reply.Header.Get(subjects.HeaderErrorCode) != "" {
		t.Errorf("another plugin's JSON got %v", reply.Header)
	}
	go func() {
		for range calls - 1 {
			<-converting
		}
	}()
	close(release)
	for range calls {
		if reply := next(t, replies); string(reply.Data) != "[converted]" {
			t.Errorf("got %q, %v", reply.Data, reply.Header)
		}
	}
}

func TestJSONWhoseCallerIsGoneIsNotConverted(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	b := testenv.Bus(t, url)
	converting, release := make(chan string, 1000), make(chan struct{})
	serve(t, b, "busy", heldJSON(converting, release))
	conn := testenv.Connect(t, url)
	replies, err := conn.SubscribeSync(nats.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	const calls = 100 // more than there are processors, hopefully
	for range calls {
		send(t, conn, replies, "plugins.busy.get", large(10_000))
	}
	<-converting
	for range calls {
		send(t, conn, replies, "plugins.busy.get", `{"late":"`+strings.Repeat("x", 10_000)+`"}`, "Pluginhost-Timeout", "20ms")
	}
	for range calls {
		if reply := next(t, replies); reply.Header.Get(subjects.HeaderErrorCode) != "408" {
			t.Errorf("a call whose time is over got %.40q, %v", reply.Data, reply.Header)
		}
	}
	close(release)
	for range calls {
		next(t, replies)
	}
	close(converting)
	for body := range converting {
		if strings.HasPrefix(body, `{"late"`) {
			t.Error("JSON of a caller that is gone was converted")
		}
	}
}

func TestJSONBeyondWhatMayWaitIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t, func(o *server.Options) { o.MaxPayload = 32 << 20 })
	b := testenv.Bus(t, url)
	converting, release := make(chan string, 100), make(chan struct{})
	serve(t, b, "busy", heldJSON(converting, release))
	conn := testenv.Connect(t, url)
	replies, err := conn.SubscribeSync(nats.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	body := large(20 << 20)
	for range 4 {
		send(t, conn, replies, "plugins.busy.get", body)
	}
	reply := next(t, replies)
	if reply.Header.Get(subjects.HeaderErrorCode) != "429" || !strings.Contains(reply.Header.Get(subjects.HeaderError), "bytes of JSON wait") {
		t.Errorf("the fourth body of 20 MiB got %v", reply.Header)
	}
	close(release)
	for range 3 {
		if reply := next(t, replies); string(reply.Data) != "[converted]" {
			t.Errorf("one of the first three got %.40q, %v", reply.Data, reply.Header)
		}
	}
	if reply := request(t, conn, "plugins.busy.get", body); string(reply.Data) != "[converted]" {
		t.Errorf("afterwards: %.40q, %v", reply.Data, reply.Header)
	}
}

func TestJSONIsChargedFromItsArrivalUntilItIsConverted(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	b := testenv.Bus(t, url)
	var charged atomic.Int64
	var mu sync.Mutex
	var asked []int64
	const limit = 1 << 20
	method := echo()
	method.RequestFromJSON = func([]byte) ([]byte, error) {
		if got := charged.Load(); got < 100_000 {
			t.Errorf("%d bytes are charged while 100 kB are converted", got)
		}
		return []byte("converted"), nil
	}
	method.Call = call.Returning(func(_ context.Context, request []byte) ([]byte, error) {
		if got := charged.Load(); got != 0 {
			t.Errorf("%d bytes are charged when all is converted", got)
		}
		return request, nil
	})
	serveCalls(t, b, "p", call.Config{
		Resolve: func(string, bool) (call.Method, error) { return method, nil },
		Hold: func(bytes int64) (func(), error) {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, bytes)
			if bytes > limit {
				return nil, subjects.Errorf(subjects.ErrOverloaded, "%w", errors.New("no memory"))
			}
			charged.Add(bytes)
			return func() { charged.Add(-bytes) }, nil
		},
	})
	conn := testenv.Connect(t, url)
	if reply := request(t, conn, "plugins.p.get", large(100_000)); string(reply.Data) != "[converted]" {
		t.Errorf("got %.40q, %v", reply.Data, reply.Header)
	}
	reply := request(t, conn, "plugins.p.get", large(500_000))
	if reply.Header.Get(subjects.HeaderErrorCode) != "429" || reply.Header.Get(subjects.HeaderError) != "no memory" {
		t.Errorf("a body for which there is no memory got %.40q, %v", reply.Data, reply.Header)
	}
	request(t, conn, "plugins.p.get", string(bytes.Repeat([]byte("x"), 100_000))) // is no JSON
	mu.Lock()
	defer mu.Unlock()
	if len(asked) != 2 || !slices.IsSorted(asked) {
		t.Errorf("%v bytes were charged for", asked)
	}
}
