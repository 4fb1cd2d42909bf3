package replica

import (
	"context"
	"errors"
	"sync"

	"github.com/pluginhost/pluginhost/bus/socket"
	"github.com/pluginhost/pluginhost/hostsvc/websocket"
	"github.com/pluginhost/pluginhost/subjects"
)

// pluginSockets are the WebSockets of one plugin, on whatever replica, as one
// generation of it uses them.
type pluginSockets struct {
	sockets *sockets
	hosted  *hosted
	init    *initialised

	mu     sync.Mutex
	inits  bool          // OnInit runs, or is about to
	opened []*heldSocket // meanwhile
}

var _ websocket.Sockets = (*pluginSockets)(nil)

// Connect implements websocket.Sockets.
func (p *pluginSockets) Connect(ctx context.Context, opening websocket.Opening) error {
	own, err := p.sockets.connect(ctx, p.hosted, opening, p.init.of(ctx))
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inits {
		p.opened = append(p.opened, own)
	}
	return nil
}

// Send implements websocket.Sockets.
func (p *pluginSockets) Send(ctx context.Context, id string, message websocket.Message) error {
	if own := p.sockets.find(p.hosted.id, id); own != nil {
		if err := own.send(ctx, message); err == nil || !own.silent.Load() {
			return notFoundOr(err)
		} // else another has its id meanwhile
	}
	request := subjects.SocketText
	if message.Binary {
		request = subjects.SocketBinary
	}
	return notFoundOr(p.sockets.bus.Ask(ctx, p.hosted.id, id, request, message.Data))
}

// Close implements websocket.Sockets.
func (p *pluginSockets) Close(ctx context.Context, id string, code int, reason string) error {
	if own := p.sockets.find(p.hosted.id, id); own != nil {
		if err := own.end(code, reason); err == nil || !own.silent.Load() {
			return notFoundOr(err)
		}
	}
	return notFoundOr(p.sockets.bus.AskJSON(ctx, p.hosted.id, id, subjects.SocketClose, subjects.SocketEnd{Code: code, Reason: reason}))
}

func notFoundOr(err error) error {
	if errors.Is(err, socket.ErrNone) {
		return websocket.ErrNotFound
	}
	return err
}

// begin is told before OnInit is run.
func (p *pluginSockets) begin() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inits = true
}

// settle is told how OnInit has ended: where it has failed, what it opened is closed.
// A generation that serves on is told, as it may have had the connection before, unless
// that has an id which OnInit alone was told.
func (p *pluginSockets) settle(ready bool) {
	if p == nil {
		return
	}
	p.mu.Lock()
	opened := p.opened
	p.inits, p.opened = false, nil
	p.mu.Unlock()
	if ready {
		return
	}
	for _, own := range opened {
		if own.init != "" || p.hosted.current.Load() == nil {
			own.drop()
		} else {
			own.connection.Abort()
		}
	}
}
