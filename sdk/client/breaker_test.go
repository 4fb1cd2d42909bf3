package client

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/subjects"
)

// fail has so many questions run at once, and fail.
func fail(t *testing.T, b *breakers, now time.Time, questions int) {
	t.Helper()
	finds := make([]bool, questions)
	for i := range finds {
		var is bool
		if finds[i], is = b.begin("p", now); !is {
			t.Fatalf("question %d is not asked", i)
		}
	}
	for _, finds := range finds {
		b.end("p", now, finds, unwell)
	}
}

func TestAHiccupThatManySeeAtOnceIsOneBreak(t *testing.T) {
	b, now := newBreakers(), time.Now()
	fail(t, b, now, 50)
	if b.allows("p", now.Add(firstBreak-1)) || !b.allows("p", now.Add(firstBreak)) {
		t.Error("it is left alone for longer than after three failures, or not at all")
	}
	now = now.Add(firstBreak)
	fail(t, b, now, 1)
	if b.allows("p", now.Add(2*firstBreak-1)) || !b.allows("p", now.Add(2*firstBreak)) {
		t.Error("the next break is not twice as long")
	}
}

func TestOneQuestionAloneFindsOutHowAPluginIs(t *testing.T) {
	b, now := newBreakers(), time.Now()
	late, _ := b.begin("p", now) // before the break, and over while somebody finds out
	fail(t, b, now, breakAfter)
	now = now.Add(firstBreak)
	finds, is := b.begin("p", now)
	b.end("p", now, late, unknown)
	if _, another := b.begin("p", now); !finds || !is || another {
		t.Errorf("finds %t, asked %t, another one %t", finds, is, another)
	}
	b.end("p", now, finds, unknown)
	if !b.allows("p", now) {
		t.Error("whoever found out nothing keeps others from it")
	}
}

func TestALostConnectionTellsNothingOfAPlugin(t *testing.T) {
	for name, err := range map[string]error{
		"lost":      lost(nats.ErrConnectionReconnecting),
		"maybe ran": &maybeRanError{subjects.Errorf(subjects.ErrDeadlineExceeded, "no reply"), nats.ErrConnectionClosed},
	} {
		if got := verdictOf(errors.Join(err), time.Minute); got != unknown {
			t.Errorf("%s: got %d", name, got)
		}
	}
}
