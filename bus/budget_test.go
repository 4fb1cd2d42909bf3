package bus_test

import (
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

func TestControlRequestsThatTakeTooMuchAreRefused(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	b := testenv.Bus(t, url)
	// Two seconds of a processor, for a hundred.
	compute := func(string) any {
		for start := time.Now(); time.Since(start) < 20*time.Millisecond; {
		}
		return "answer"
	}
	control, err := b.StartControl(map[string]bus.ControlHandler{
		subjects.ControlStatus:    {Answer: compute},
		subjects.ControlInfos:     {Answer: func(string) any { return "answer" }},
		subjects.ControlRefreshes: {Answer: compute, Waits: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = control.Stop() }()
	conn := testenv.Connect(t, url)
	refused := func(subject string, n int) (refused int) {
		for range n {
			reply := request(t, conn, subject, "")
			if code := reply.Header.Get(subjects.HeaderErrorCode); code == "429" && reply.Header.Get(subjects.HeaderRetryAfter) != "" {
				refused++
			} else if string(reply.Data) != `"answer"` {
				t.Fatalf("%s: %s %q", subject, code, reply.Data)
			}
		}
		return refused
	}
	if n := refused(subjects.ControlStatus, 100); n == 0 {
		t.Error("all are answered")
	}
	if n := refused(subjects.ControlInfo("p"), 10) + refused(subjects.ControlRefresh("p"), 10); n != 0 {
		t.Errorf("%d of another kind are refused", n)
	}
}
