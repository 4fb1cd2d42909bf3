package call

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestDeadlineIsAContextThatStartsItsTimerLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeadline(context.Background(), time.Second, nil)
		if at, ok := d.Deadline(); !ok || time.Until(at) != time.Second || d.Err() != nil || d.Value("x") != nil || d.timer != nil {
			t.Errorf("a new one: %+v", d)
		}
		child, cancel := context.WithTimeout(d, time.Hour)
		defer cancel()
		<-d.Done()
		if !errors.Is(d.Err(), context.DeadlineExceeded) {
			t.Errorf("after its time the error is %v", d.Err())
		}
		<-child.Done()
		d.end()

		late := newDeadline(context.Background(), time.Second, nil)
		<-time.After(time.Second)
		if !errors.Is(late.Err(), context.DeadlineExceeded) {
			t.Errorf("without a timer the error after its time is %v", late.Err())
		}
		<-late.Done()
		late.end()
	})
}

func TestEndedDeadlineIsCancelled(t *testing.T) {
	before, after := newDeadline(context.Background(), time.Hour, nil), newDeadline(context.Background(), time.Hour, nil)
	done := before.Done()
	before.end()
	after.end()
	for _, d := range []<-chan struct{}{done, after.Done()} {
		<-d
	}
	if !errors.Is(before.Err(), context.Canceled) || !errors.Is(after.Err(), context.Canceled) {
		t.Errorf("%v, %v", before.Err(), after.Err())
	}
}
