package wasmrt

import (
	"context"
	"testing"
	"testing/synctest"
)

func TestProcessorsGoRoundInOrderAndForgetWhoLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProcessors(1)
		if err := p.acquire(t.Context(), t.Context()); err != nil || p.wanted() {
			t.Fatalf("the first: %v, wanted %v", err, p.wanted())
		}
		var order []string
		wait := func(name string, ctx context.Context) {
			go func() {
				if p.acquire(ctx, t.Context()) != nil {
					name += " left"
				}
				order = append(order, name)
			}()
			synctest.Wait()
		}
		leaving, leave := context.WithCancel(t.Context())
		wait("a", t.Context())
		wait("b", leaving)
		wait("c", t.Context())
		if !p.wanted() {
			t.Error("three wait and nobody is told")
		}
		leave()
		synctest.Wait()
		for range 3 {
			p.release()
			synctest.Wait()
		}
		if len(order) != 3 || order[0] != "b left" || order[1] != "a" || order[2] != "c" {
			t.Errorf("the order was %q", order)
		}
		if p.wanted() || p.free != 1 {
			t.Errorf("%d are free, wanted %v", p.free, p.wanted())
		}
	})
}
