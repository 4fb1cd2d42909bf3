package call_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
)

func TestAFailureTravelsInHeaders(t *testing.T) {
	sent := &subjects.Error{Failure: subjects.ErrOverloaded, Text: "one\r\nNats-Service-Error-Code: 404\x00" + strings.Repeat("x", 100), RetryAfter: time.Second}
	header := map[string][]string{}
	call.WriteFailure(header, sent, 50)
	got, err := call.ReadFailure(header)
	if err != nil || !errors.Is(got, subjects.ErrOverloaded) || got.RetryAfter != time.Second {
		t.Errorf("got %v, %v", got, err)
	}
	if want := "one  Nats-Service-Error-Code: 404 xxxx"; len(got.Text) != 50 || !strings.HasPrefix(got.Text, want) {
		t.Errorf("the text is %q of %d bytes", got.Text, len(got.Text))
	}
}

func TestHeadersThatTellNoFailure(t *testing.T) {
	if failure, err := call.ReadFailure(map[string][]string{subjects.HeaderError: {"text"}}); failure != nil || err != nil {
		t.Errorf("without a code: %v, %v", failure, err)
	}
	var code *call.CodeError
	if failure, err := call.ReadFailure(map[string][]string{subjects.HeaderErrorCode: {"x"}}); failure != nil || !errors.As(err, &code) || code.Code != "x" {
		t.Errorf("a code that is no number: %v, %v", failure, err)
	}
	if failure, err := call.ReadFailure(map[string][]string{subjects.HeaderErrorCode: {"404", "500"}}); failure != nil || err == nil {
		t.Errorf("two codes: %v, %v", failure, err)
	}
}

func TestARequestIsReadFromItsHeaders(t *testing.T) {
	for name, c := range map[string]struct {
		header map[string][]string
		want   string // begins the reply
		trace  string
	}{
		"nothing":           {nil, "0 1h0m0s", ""},
		"all":               {map[string][]string{"Pluginhost-Timeout": {"10ms"}, "Pluginhost-Via": {"a,b"}, "traceparent": {"00-1"}}, "2 10ms", "00-1"},
		"no duration":       {map[string][]string{"Pluginhost-Timeout": {"soon"}}, `400 bad_request: header Pluginhost-Timeout is "soon": want a Go duration such as 1.5s`, ""},
		"two timeouts":      {map[string][]string{"Pluginhost-Timeout": {"1s"}, "pluginhost-timeout": {"1s"}}, "400 bad_request: header Pluginhost-Timeout is there 2 times", ""},
		"no tokens":         {map[string][]string{"Pluginhost-Via": {"a.b"}}, "400 bad_request: header Pluginhost-Via: ", ""},
		"two, who wait":     {map[string][]string{"Pluginhost-Via": {"a", "b"}}, "400 bad_request: header Pluginhost-Via is there 2 times", ""},
		"more than may be":  {map[string][]string{"Pluginhost-Via": {"1,2,3,4,5,6,7,8,9"}}, "400 bad_request: header Pluginhost-Via: more than 8", ""},
		"the timeout first": {map[string][]string{"Pluginhost-Timeout": {"soon"}, "Pluginhost-Via": {"p"}}, "400 bad_request: header Pluginhost-Timeout", ""},
		"a round":           {map[string][]string{"Pluginhost-Via": {"a,p"}}, "400 bad_request: the call leads back into plugin p", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var seen observed
			var got reply
			plugin := config(&seen)
			plugin.Resolve = func(string, bool) (call.Method, error) {
				return answers(func(ctx context.Context, _ []byte) ([]byte, error) {
					return fmt.Append(nil, len(call.Via(ctx)), " ", call.TimeLimit(ctx)), nil
				}), nil
			}
			call.NewServer(plugin).Do(t.Context(), call.Request{Method: "m", Header: c.header}, &got)
			if !strings.HasPrefix(got.String(), c.want) || seen[0].Method != "m" || seen[0].Trace != c.trace {
				t.Errorf("got %v, observed %+v, want %q", got, seen[0], c.want)
			}
		})
	}
}

func TestJSONIsToldByItsTypeOrItsFirstByte(t *testing.T) {
	kind := map[string][]string{"Content-Type": {"application/json"}}
	for body, want := range map[string]bool{"": false, "x": false, "{": true, " {": false} {
		if json, err := call.IsJSON(nil, []byte(body)); json != want || err != nil {
			t.Errorf("%q: %t, %v", body, json, err)
		}
		if json, err := call.IsJSON(kind, []byte(body)); !json || err != nil {
			t.Errorf("%q of the type: %t, %v", body, json, err)
		}
	}
	if _, err := call.IsJSON(map[string][]string{"Content-Type": {"a", "b"}}, nil); err == nil {
		t.Error("two types are no error")
	}
}
