package bus_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// Who reads the first of two headers and who reads the last would not mean the same.
func TestAHeaderThatIsThereTwiceIsRefused(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	serve(t, testenv.Bus(t, url), "p", echo())
	conn := testenv.Connect(t, url)
	for name, value := range map[string]string{
		subjects.HeaderTimeout: "5s", subjects.HeaderVia: "other", subjects.HeaderContentType: "text/plain",
	} {
		for what, c := range map[string]struct {
			header  nats.Header
			refused bool
		}{
			"once":                    {nats.Header{name: {value}}, false},
			"once, in another case":   {nats.Header{strings.ToLower(name): {value}}, false},
			"twice":                   {nats.Header{name: {value, value}}, true},
			"twice, in several cases": {nats.Header{name: {value}, strings.ToUpper(name): {value}}, true},
			"with an empty one":       {nats.Header{name: {"", value}}, true},
			"with others twice":       {nats.Header{name: {value}, "X": {"a", "b"}}, false},
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				reply, err := conn.RequestMsg(&nats.Msg{Subject: subjects.Call("p", "get"), Header: c.header, Data: []byte("x")}, wait)
				if err != nil {
					t.Fatal(err)
				}
				code, text := reply.Header.Get(subjects.HeaderErrorCode), reply.Header.Get(subjects.HeaderError)
				if !c.refused && (code != "" || string(reply.Data) != "x") {
					t.Errorf("got %q with %v", reply.Data, reply.Header)
				}
				if c.refused && (code != "400" || !strings.Contains(text, "header "+name+" is there 2 times")) {
					t.Errorf("got %q with %v", reply.Data, reply.Header)
				}
			})
		}
	}
}

// A header in another case counts: a timeout that is not seen would be waited for in vain.
func TestTheCaseOfAHeaderDoesNotMatter(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	serve(t, testenv.Bus(t, url), "p", echo())
	conn := testenv.Connect(t, url)
	reply := request(t, conn, subjects.Call("p", "get"), "x")
	if string(reply.Data) != "x" {
		t.Fatalf("got %q with %v", reply.Data, reply.Header)
	}
	for name, value := range map[string]string{"pluginhost-timeout": "soon", "PLUGINHOST-VIA": "p"} {
		reply, err := conn.RequestMsg(&nats.Msg{Subject: subjects.Call("p", "get"), Header: nats.Header{name: {value}}}, wait)
		if err != nil || reply.Header.Get(subjects.HeaderErrorCode) != "400" {
			t.Errorf("%s: %v, %v", name, reply, err)
		}
	}
}
