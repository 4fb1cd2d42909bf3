package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// connect is client.Connect for a test.
func connect(t *testing.T, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	conn, err := client.Connect(url, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

func TestConnectHasTheOptionsThatAClientTakes(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	options := connect(t, url).Opts
	if options.ReconnectBufSize != -1 || options.MaxReconnect != -1 || !options.IgnoreAuthErrorAbort || options.RetryOnFailedConnect ||
		options.PingInterval != 10*time.Second || options.ReconnectWait != 250*time.Millisecond || options.Name == "" {
		t.Errorf("got %+v", options)
	}
	if name := connect(t, url, nats.Name("mine")).Opts.Name; name != "mine" {
		t.Errorf("an option of the caller became %q", name)
	}
	if _, err := client.Connect("nats://127.0.0.1:1"); !errors.Is(err, nats.ErrNoServers) {
		t.Errorf("without a server: %v", err)
	}
}

func TestASilentServerIsFoundByPings(t *testing.T) {
	t.Parallel()
	link := testenv.StartNATSLink(t, testenv.NATS(t), func(*testenv.NATSLink, string) bool { return true })
	conn := connect(t, link.URL(), nats.PingInterval(50*time.Millisecond))
	lost := conn.StatusChanged(nats.RECONNECTING)
	link.Hold()
	<-lost
	refusedAtOnce(t, conn, nats.ErrConnectionReconnecting)
}

func TestNothingIsSentOnAConnectionOfConnectThatIsLost(t *testing.T) {
	t.Parallel()
	server := testenv.Restartable(t)
	conn := connect(t, server.URL())
	lost, back := conn.StatusChanged(nats.RECONNECTING), conn.StatusChanged(nats.CONNECTED)
	server.Stop()
	<-lost
	refusedAtOnce(t, conn, nats.ErrConnectionReconnecting)
	server.Start()
	<-back
	if _, err := client.New(conn).Status(t.Context()); !errors.Is(err, client.ErrNoReplica) {
		t.Errorf("on the connection that is back: got %v, want ErrNoReplica", err)
	}
}

// cuts is what passes on a link that is cut and mended.
type cuts struct {
	mu     sync.Mutex
	epoch  int
	passed map[string]int // the epoch in which a subject passed
	late   []string       // the subjects of an epoch before
}

func (c *cuts) pass(subject string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passed[subject] = c.epoch
	if strings.HasPrefix(subject, "plugins.p.") && !strings.HasPrefix(subject, fmt.Sprintf("plugins.p.e%d_", c.epoch)) {
		c.late = append(c.late, subject)
	}
}

func (c *cuts) hasPassed(subject string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, is := c.passed[subject]
	return is
}

// Calls go on while the link is cut: in each of the moments in which a connection can break some are about to be sent.
func TestWhatIsSentAsTheLinkIsCutNeverComesLate(t *testing.T) {
	t.Parallel()
	const epochs, callers = 10, 8
	url := testenv.NATS(t)
	seen := &cuts{passed: make(map[string]int)}
	link := testenv.StartNATSLink(t, url, func(_ *testenv.NATSLink, subject string) bool { seen.pass(subject); return true })
	replica := testenv.Connect(t, url)
	if _, err := replica.Subscribe(subjects.Calls("p"), func(msg *nats.Msg) { _ = msg.Respond(nil) }); err != nil {
		t.Fatal(err)
	}
	if err := replica.Flush(); err != nil {
		t.Fatal(err)
	}
	conn := connect(t, link.URL(), nats.ReconnectWait(time.Millisecond), nats.ReconnectJitter(0, 0))
	c := client.New(conn, client.WithTimeout(300*time.Millisecond))
	lost, back := conn.StatusChanged(nats.RECONNECTING), conn.StatusChanged(nats.CONNECTED)
	for epoch := range epochs {
		var calling sync.WaitGroup
		started := make(chan struct{}, callers)
		for caller := range callers {
			calling.Go(func() { callUntilRefused(t, c, seen, fmt.Sprintf("e%d_%d", epoch, caller), started) })
		}
		for range callers {
			<-started
		}
		link.Cut()
		<-lost
		calling.Wait()
		seen.mu.Lock()
		seen.epoch++
		seen.mu.Unlock()
		link.Mend()
		<-back
		if err := conn.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen.late) > 0 {
		t.Errorf("%d calls came after the connection was back: %v", len(seen.late), seen.late)
	}
}

// callUntilRefused calls until the connection is known to be lost: that call, and no other, has not been sent.
func callUntilRefused(t *testing.T, c *client.Client, seen *cuts, prefix string, started chan<- struct{}) {
	for i := 0; ; i++ {
		method := fmt.Sprintf("%s_%d", prefix, i)
		_, err := c.Call(t.Context(), "p", method, nil)
		if i == 1 {
			started <- struct{}{}
		}
		switch {
		case err == nil, errors.Is(err, subjects.ErrDeadlineExceeded) && !errors.Is(err, subjects.ErrUnavailable):
			continue
		case !errors.Is(err, subjects.ErrUnavailable):
			t.Errorf("%s: %v", method, err)
		case seen.hasPassed(subjects.Call("p", method)):
			t.Errorf("%s was sent, and is %v", method, err)
		}
		return
	}
}

func TestACallWhoseConnectionIsClosedMeanwhileMayHaveRun(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	conn, taken := connect(t, url), make(chan struct{})
	if _, err := testenv.Connect(t, url).Subscribe(subjects.Calls("p"), func(*nats.Msg) { close(taken) }); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- callWhereSomebodyIs(t.Context(), client.New(conn)) }()
	<-taken
	conn.Close()
	err := <-ended
	var failure *subjects.Error
	if !errors.Is(err, subjects.ErrDeadlineExceeded) || errors.Is(err, subjects.ErrUnavailable) || !errors.Is(err, nats.ErrConnectionClosed) ||
		!errors.As(err, &failure) || failure.NothingRan() {
		t.Errorf("got %v, want that it may have run", err)
	}
	if !errors.Is(err, client.ErrRetryLater) {
		t.Errorf("got %v, want that it is tried again", err)
	}
}

// callWhereSomebodyIs calls until somebody has the subscription.
func callWhereSomebodyIs(ctx context.Context, c *client.Client) error {
	for {
		err := c.Scrobbler("p").Scrobble(ctx, client.User{Name: "joe"}, &api.TrackInfo{}, time.Now())
		if !errors.Is(err, subjects.ErrUnavailable) || errors.Is(err, nats.ErrConnectionClosed) {
			return err
		}
	}
}

func TestCallsHaveTheTimeoutOfTheirClient(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	replica := testenv.Connect(t, url)
	timeouts := make(chan time.Duration, 1)
	if _, err := replica.Subscribe(subjects.Calls("p"), func(msg *nats.Msg) {
		timeout, err := time.ParseDuration(msg.Header.Get(subjects.HeaderTimeout))
		if err != nil {
			t.Error(err)
		}
		timeouts <- timeout
		_ = msg.Respond(nil)
	}); err != nil {
		t.Fatal(err)
	}
	if err := replica.Flush(); err != nil {
		t.Fatal(err)
	}
	conn := connect(t, url)
	for name, c := range map[string]struct {
		option     client.Option
		more, most time.Duration
	}{
		"an hour":    {client.WithTimeout(time.Hour), 30 * time.Minute, time.Hour},
		"0 is none":  {client.WithTimeout(0), 0, client.DefaultTimeout},
		"below zero": {client.WithTimeout(-time.Second), 0, client.DefaultTimeout},
	} {
		if _, err := client.New(conn, c.option).Call(t.Context(), "p", "get", nil); err != nil {
			t.Fatal(err)
		}
		if timeout := <-timeouts; timeout <= c.more || timeout > c.most {
			t.Errorf("%s: the plugin is given %v", name, timeout)
		}
	}
}
