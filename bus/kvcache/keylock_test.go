package kvcache

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestOneAtATimeWorksOnAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var locks keyLocks[string]
		var group sync.WaitGroup
		working := map[string]*int{"a": new(int), "b": new(int)}
		var order []int
		for i := range 10 {
			for _, key := range []string{"a", "b"} {
				group.Go(func() {
					unlock, err := locks.lock(t.Context(), key)
					if err != nil {
						t.Error(err)
						return
					}
					defer unlock()
					if *working[key]++; *working[key] > 1 { // the race detector looks as well
						t.Errorf("%d work on %s", *working[key], key)
					}
					if key == "a" {
						order = append(order, i)
					}
					<-time.After(time.Second) // of the bubble's clock
					*working[key]--
				})
				synctest.Wait()
			}
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := locks.lock(short, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it does not wait: %v", err)
		}
		group.Wait()
		for i, who := range order {
			if who != i {
				t.Fatalf("they came one after the other, and worked as %v", order)
			}
		}
		if len(locks.locks) != 0 {
			t.Errorf("%d locks are left", len(locks.locks))
		}
	})
}
