package client_test

import (
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/testenv"
)

// noPlugins lists none.
type noPlugins struct{}

func (noPlugins) Listed() []client.Listed { return nil }

// A request of a door that was not over when its time to leave was.
func TestWhatIsToldAfterStopIsDropped(t *testing.T) {
	t.Parallel()
	conn := testenv.Connect(t, testenv.NATS(t))
	for range 50 {
		set := client.New(conn).ScrobblerSet(noPlugins{})
		told := make(chan struct{})
		go func() {
			defer close(told)
			for range 20 {
				set.NowPlayingTo("p", client.User{Name: "joe"}, &api.TrackInfo{Name: "t"}, time.Now())
			}
		}()
		set.Stop()
		<-told
	}
}
