package replica_test

import (
	"testing"

	"github.com/pluginhost/pluginhost/testenv/journal"
)

func TestAOneTimeScheduleCallsThePluginBack(t *testing.T) {
	s := newStateful(t, nil)
	s.start()
	s.start()
	id, payload := []byte("clear\u200b\xffa b:c"), []byte("payload\x00\xff")
	if r := s.do(journal.Command{Do: "once", ID: id, Payload: payload}); string(r.ID) != string(id) {
		t.Errorf("the id is %q", r.ID)
	}
	fire := s.journal.AwaitCount(t, "fire", 1)[0]
	if string(fire.ID) != string(id) || string(fire.Payload) != string(payload) || fire.Recurring {
		t.Errorf("%+v", fire)
	}
	if inits := s.journal.Of("init"); len(inits) != 1 {
		t.Errorf("OnInit ran %d times", len(inits))
	}
}
