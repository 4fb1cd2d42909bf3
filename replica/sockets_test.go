package replica_test

import (
	"testing"

	"github.com/gorilla/websocket"

	"github.com/pluginhost/pluginhost/testenv/journal"
)

func TestAPluginTalksToAServer(t *testing.T) {
	s, g := newStateful(t, nil), newGateway(t)
	s.start()
	s.start()
	id := []byte("gateway:1\xff")
	if r := s.do(journal.Command{Do: "connect", ID: id, URL: g.address() + "/?v=10", Headers: map[string]string{"Authorization": "secret"}}); string(r.ID) != string(id) {
		t.Errorf("the id is %q", r.ID)
	}
	p := g.accept(t)
	if p.header.Get("Authorization") != "secret" {
		t.Error("the header did not arrive")
	}
	for range 20 { // on either replica
		s.do(journal.Command{Do: "text", ID: id, Text: "hello"})
		p.hears(t, "hello")
	}
	s.do(journal.Command{Do: "binary", ID: id, Payload: []byte("\x00\xff")})
	p.hears(t, "\x00\xff")
	if err := p.WriteMessage(websocket.TextMessage, []byte("hi")); err != nil {
		t.Fatal(err)
	}
	if text := s.journal.AwaitCount(t, "text", 1)[0]; string(text.ID) != string(id) || string(text.Payload) != "hi" {
		t.Errorf("%+v", text)
	}
	s.do(journal.Command{Do: "close", ID: id, Code: 4000, Text: "bye"})
	if end := s.journal.AwaitCount(t, "close", 1)[0]; end.Code != 4000 || end.Text != "bye" {
		t.Errorf("%+v", end)
	}
	if r, err := s.try(journal.Command{Do: "text", ID: id, Text: "hello"}); err != nil || r.Error != "connection not found" {
		t.Errorf("%+v, %v", r, err)
	}
}
