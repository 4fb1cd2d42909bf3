package replica

import (
	"context"
	"errors"
	"sync"

	"github.com/pluginhost/pluginhost/hostsvc/navidrome"
	"github.com/pluginhost/pluginhost/sdk/api/host"
)

// lacking is what a call of a plugin has asked the host for in vain because of the host's
// own settings: the first such thing, as a hint to the operator.
type lacking struct {
	mu   sync.Mutex
	hint string
}

type lackingKey struct{}

// withLacking returns a context under which host services note what they lack.
func withLacking(ctx context.Context) (context.Context, *lacking) {
	l := &lacking{}
	return context.WithValue(ctx, lackingKey{}, l), l
}

// lack notes a hint for the operator who reads why the call has failed.
func lack(ctx context.Context, hint string) {
	l, ok := ctx.Value(lackingKey{}).(*lacking)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hint == "" {
		l.hint = hint
	}
}

// first is the hint that was noted first; empty is none.
func (l *lacking) first() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hint
}

// unconfigured are functions that cannot do their work for want of a setting, which the
// hint names.
func unconfigured(functions []host.Function, hint string) []host.Function {
	for i, function := range functions {
		functions[i].Call = func(ctx context.Context, request []byte) ([]byte, error) {
			lack(ctx, hint)
			return function.Call(ctx, request)
		}
	}
	return functions
}

// hinting is a Navidrome that notes a hint when it does not answer.
type hinting struct {
	asked navidrome.Subsonic
	hint  string
}

var _ navidrome.Subsonic = hinting{}

// Subsonic implements navidrome.Subsonic.
func (s hinting) Subsonic(ctx context.Context, r navidrome.SubsonicRequest) ([]byte, error) {
	body, err := s.asked.Subsonic(ctx, r)
	if err != nil && !errors.Is(err, navidrome.ErrRequest) {
		lack(ctx, s.hint)
	}
	return body, err
}
