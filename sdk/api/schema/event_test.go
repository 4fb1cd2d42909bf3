package schema

import (
	"bytes"
	"testing"

	"github.com/pluginhost/pluginhost/sdk/api"
)

func TestEachEventIsACallOfItsMethod(t *testing.T) {
	contract := Navidrome058()
	for _, c := range []struct {
		event Event
		name  string
		want  message
	}{
		{Init{Config: map[string]string{"k": "v"}}, "on_init", &api.InitRequest{Config: map[string]string{"k": "v"}}},
		{
			Fire{Schedule: "s", Payload: []byte("p"), Recurring: true}, "on_scheduler_callback",
			&api.SchedulerCallbackRequest{ScheduleId: "s", Payload: []byte("p"), IsRecurring: true},
		},
		{TextMessage{Connection: "c", Text: "t"}, "on_text_message", &api.OnTextMessageRequest{ConnectionId: "c", Message: "t"}},
		{BinaryMessage{Connection: "c", Data: []byte("d")}, "on_binary_message", &api.OnBinaryMessageRequest{ConnectionId: "c", Data: []byte("d")}},
		{ConnectionError{Connection: "c", Text: "e"}, "on_error", &api.OnErrorRequest{ConnectionId: "c", Error: "e"}},
		{ConnectionClose{Connection: "c", Code: 1001, Reason: "r"}, "on_close", &api.OnCloseRequest{ConnectionId: "c", Code: 1001, Reason: "r"}},
	} {
		callback, err := contract.Callback(c.event)
		method, known := contract.Method(c.name)
		if err != nil || !known || callback.Name != c.name || callback.Export != method.Export || method.Kind == KindCall {
			t.Errorf("%T is a call of %s (%s), %v, want %s", c.event, callback.Name, callback.Export, err, c.name)
			continue
		}
		if want, err := c.want.MarshalVT(); err != nil || !bytes.Equal(callback.Request, want) {
			t.Errorf("%T asks %x, want %x, %v", c.event, callback.Request, want, err)
		}
	}
}

func TestAnEventThatAContractDoesNotKnowIsNotCalled(t *testing.T) {
	if callback, err := Navidrome058().Callback(nil); err == nil {
		t.Errorf("it is a call of %s", callback.Name)
	}
}

func TestFailureIsWhatThePluginSays(t *testing.T) {
	failed, err := (&api.InitResponse{Error: "no luck"}).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		event    Event
		response []byte
		want     string
		decodes  bool
	}{
		"an error":                   {Init{}, failed, "no luck", true},
		"none":                       {Fire{}, nil, "", true},
		"no message":                 {Fire{}, []byte{0xff}, "", false},
		"an event without an answer": {TextMessage{}, failed, "", true},
	} {
		callback, err := Navidrome058().Callback(c.event)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := callback.Failure(c.response); text != c.want || (err == nil) != c.decodes {
			t.Errorf("%s: got %q, %v", name, text, err)
		}
	}
}
