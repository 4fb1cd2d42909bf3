package websocket_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/pluginhost/pluginhost/hostsvc/websocket"
	"github.com/pluginhost/pluginhost/sdk/hold"
)

func TestAMessageIsChargedWhileItIsHandled(t *testing.T) {
	t.Parallel()
	const size = 200_000
	var charged atomic.Int64
	var during int64
	url := serveRaw(t, func(p *peer) {
		p.accept()
		p.say(frame(final|binaryData, make([]byte, size)))
		p.say(frame(final|closeFrame, []byte{3, 232}))
		p.listen()
	})
	config := anywhere()
	config.Hold = func(bytes int64) (func(), error) {
		charged.Add(bytes)
		return func() { charged.Add(-bytes) }, nil
	}
	end := dialled(t, config, url).Run(t.Context(), func(websocket.Message) error {
		during = charged.Load()
		return nil
	})
	if end.Err != nil || during < 3*size || charged.Load() != 0 {
		t.Errorf("%d bytes are charged while a message of %d is handled, %d afterwards; end %+v", during, size, charged.Load(), end)
	}
}

func TestAMessageForWhichThereIsNoMemoryEndsTheConnection(t *testing.T) {
	t.Parallel()
	answered := make(chan int, 1)
	url := serveRaw(t, func(p *peer) {
		p.accept()
		p.say(frame(final|text, []byte("small")), frame(final|text, make([]byte, 500_000)))
		code, _ := p.listen()
		answered <- code
	})
	full := errors.New("full")
	config := anywhere()
	config.Hold = func(bytes int64) (func(), error) {
		if bytes > 1_000_000 {
			return nil, full
		}
		return func() {}, nil
	}
	var handled int
	end := dialled(t, config, url).Run(t.Context(), func(websocket.Message) error {
		handled++
		return nil
	})
	if !errors.Is(end.Err, hold.ErrRefused) || !errors.Is(end.Err, full) || handled != 1 {
		t.Errorf("%d messages were handled, end %+v", handled, end)
	}
	if code := await(t, "close frame", answered); code != 1013 {
		t.Errorf("the server was told %d, want 1013", code)
	}
}
