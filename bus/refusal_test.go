package bus_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// many is n short headers.
func many(n int) nats.Header {
	header := nats.Header{}
	for i := range n {
		header[fmt.Sprint(i)] = []string{""}
	}
	return header
}

func TestRequestsWithTooManyHeadersAreAnswered(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	b := testenv.Bus(t, url)
	counted := new(call.Stats)
	serveCalls(t, b, "p", call.Config{
		Observer: counted,
		Resolve:  func(string, bool) (call.Method, error) { return echo(), nil },
	})
	status := bus.ControlHandler{Answer: func(string) any { return "answer" }}
	control, err := b.StartControl(map[string]bus.ControlHandler{subjects.ControlStatus: status, subjects.ControlInfos: status})
	if err != nil {
		t.Fatal(err)
	}
	discovery, err := b.StartDiscovery()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(control.Stop(), discovery.Stop()); err != nil {
			t.Error(err)
		}
	})
	conn := testenv.Connect(t, url)
	asked := []string{subjects.Call("p", "get"), subjects.Callback("p", "on_close"), subjects.ControlStatus, subjects.ControlInfo("p"), "$SRV.PING", "$SRV.INFO.p"}
	for _, subject := range asked {
		for name, c := range map[string]struct {
			header nats.Header
			want   string // in the failure, or empty
		}{
			"as many as may be": {many(64), ""},
			"one too many":      {many(65), "the message has 65 headers, the limit is 64"},
			"one that is long":  {nats.Header{"x": {strings.Repeat("y", 16<<10)}}, "bytes of headers, the limit is 16384"},
			"a megabyte":        {many(80_000), "bytes of headers, the limit is 16384"},
		} {
			reply, err := conn.RequestMsg(&nats.Msg{Subject: subject, Header: c.header, Data: []byte("body")}, wait)
			if err != nil {
				t.Fatalf("%s, %s: %v", subject, name, err)
			}
			code, text := reply.Header.Get(subjects.HeaderErrorCode), reply.Header.Get(subjects.HeaderError)
			if (code == "400") != (c.want != "") || !strings.Contains(text, c.want) || c.want != "" && len(reply.Data) > 0 {
				t.Errorf("%s, %s: %s %q, %.40q", subject, name, code, text, reply.Data)
			}
		}
	}
	if stats := counted.Sum(); stats.Requests != 8 || stats.Errors != 6 {
		t.Errorf("the plugin counts %d calls, %d of them failed", stats.Requests, stats.Errors)
	}
}

func TestAnswerWithTooManyHeadersFailsTheRequest(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	b := testenv.Bus(t, url)
	answer(t, testenv.Connect(t, url), subjects.NavidromeSubsonic, func(*nats.Msg) *nats.Msg {
		return &nats.Msg{Header: many(80_000), Data: []byte("answer")}
	})
	_, err := b.RequestSubsonic(t.Context(), subjects.SubsonicRequest{Plugin: "p", User: "u", Endpoint: "ping", Query: "u=u"}, nil)
	if err == nil || !strings.Contains(err.Error(), "the answer to navidrome.subsonic") || !strings.Contains(err.Error(), "bytes of headers") {
		t.Errorf("%v", err)
	}
}
