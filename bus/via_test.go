package bus_test

import (
	"context"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

func TestACallKnowsWhoWaitsForIt(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	method := echo()
	method.Call = call.Returning(func(ctx context.Context, _ []byte) ([]byte, error) {
		bounded, cancel := context.WithCancel(ctx) // as a host service sees it
		defer cancel()
		return []byte(strings.Join(call.Via(bounded), " ")), nil
	})
	serve(t, testenv.Bus(t, url), "p.2", method)
	conn := testenv.Connect(t, url)
	for name, c := range map[string]struct {
		via        []string // values of the header
		want, code string
		text       string // part of the error
	}{
		"nobody":               {nil, "", "", ""},
		"an empty header":      {[]string{""}, "", "", ""},
		"another":              {[]string{"other"}, "other", "", ""},
		"several":              {[]string{subjects.FormatVia([]string{"a plugin", "b,c", "d"})}, "a plugin b,c d", "", ""},
		"as many as may":       {[]string{"1,2,3,4,5,6,7,8"}, "1 2 3 4 5 6 7 8", "", ""},
		"one too many":         {[]string{"1,2,3,4,5,6,7,8,9"}, "", "400", "more than 8"},
		"itself":               {[]string{"other,p=2E2,more"}, "", "400", "the call leads back into plugin p.2, which is waiting for it"},
		"one of a like name":   {[]string{"p=2E"}, "p.", "", ""},
		"what is no token":     {[]string{"p.2"}, "", "400", "Pluginhost-Via"},
		"an id without bytes":  {[]string{"a,,b"}, "", "400", "Pluginhost-Via"},
		"the header two times": {[]string{"a", "p=2E2"}, "", "400", "2 times"},
		"very many":            {[]string{strings.Repeat("a,", 5_000)}, "", "400", "more than 8"},
	} {
		t.Run(name, func(t *testing.T) {
			msg := nats.NewMsg("plugins.p=2E2.get")
			msg.Header[subjects.HeaderVia] = c.via
			reply, err := conn.RequestMsg(msg, wait)
			if err != nil {
				t.Fatal(err)
			}
			if string(reply.Data) != c.want || reply.Header.Get(subjects.HeaderErrorCode) != c.code || !strings.Contains(reply.Header.Get(subjects.HeaderError), c.text) {
				t.Errorf("got %q with %v, want %q with the code %q and the text %q", reply.Data, reply.Header, c.want, c.code, c.text)
			}
		})
	}
	if call.Via(t.Context()) != nil {
		t.Error("somebody waits for what is no call")
	}
}
