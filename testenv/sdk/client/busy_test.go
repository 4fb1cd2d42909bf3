package client_test

import (
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// A replica that is busy has the request, and answers late or never.
func TestABusyReplicaIsNotTakenForNone(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		after time.Duration // 0 is never
		err   error
	}{
		"it answers late": {after: 1500 * time.Millisecond},
		"it never does":   {err: client.ErrNoAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := testenv.NATS(t)
			replica := testenv.Connect(t, url)
			var answers sync.WaitGroup
			t.Cleanup(answers.Wait)
			_, err := replica.Subscribe(subjects.ControlStatus, func(msg *nats.Msg) {
				if test.after == 0 {
					return
				}
				body, _ := json.Marshal(subjects.Status{Header: subjects.Header{V: subjects.Version, Replica: "busy", Replicas: 1}})
				answers.Add(1)
				time.AfterFunc(test.after, func() {
					defer answers.Done()
					_ = msg.Respond(body)
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := replica.Flush(); err != nil {
				t.Fatal(err)
			}
			replicas, err := client.New(testenv.Connect(t, url)).Status(t.Context())
			if !errors.Is(err, test.err) || test.err == nil && len(replicas) != 1 {
				t.Errorf("got %v, %v, want %v", replicas, err, test.err)
			}
		})
	}
}
