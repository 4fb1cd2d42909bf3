package client_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// stuck is a connection on which nothing can be written any more, which nobody has noticed yet.
type stuck struct {
	net.Conn
	broken chan struct{}
}

func (s *stuck) Write(b []byte) (int, error) {
	select {
	case <-s.broken:
		return 0, &net.OpError{Op: "write", Net: "tcp", Err: net.ErrClosed}
	default:
		return s.Conn.Write(b)
	}
}

// dialer makes connections that break together.
type dialer struct{ broken chan struct{} }

func (d dialer) Dial(network, address string) (net.Conn, error) {
	conn, err := net.DialTimeout(network, address, patience)
	return &stuck{conn, d.broken}, err
}

// A long request is written by whoever calls. What breaks meanwhile is no word of the plugin, which nobody asks again.
func TestAConnectionThatBreaksUnderALongRequestIsNoErrorOfThePlugin(t *testing.T) {
	t.Parallel()
	d := dialer{make(chan struct{})}
	conn, err := client.Connect(testenv.NATS(t), nats.SetCustomDialer(d), nats.ReconnectWait(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	close(d.broken)
	_, err = client.New(conn).Call(t.Context(), "p", "get_artist_url", make([]byte, 500_000))
	if !errors.Is(err, subjects.ErrDeadlineExceeded) {
		t.Errorf("got %v, want ErrDeadlineExceeded", err)
	}
}
