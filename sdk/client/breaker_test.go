package client

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/subjects"
)

func TestAPluginThatFailsAgainAndAgainIsLeftAloneForAWhile(t *testing.T) {
	b, start := newBreakers(), time.Now()
	ask := func(at time.Duration, v verdict) (asked bool) {
		finds, is := b.begin("p", start.Add(at))
		if !is {
			return false
		}
		b.end("p", start.Add(at), finds, v)
		return true
	}
	for i, step := range []struct {
		at    time.Duration
		v     verdict
		asked bool
	}{
		{0, unwell, true},
		{0, unwell, true},
		{0, well, true}, // in a row
		{0, unwell, true},
		{0, unwell, true},
		{0, unwell, true},
		{4 * time.Second, well, false},
		{5 * time.Second, unwell, true}, // the question that finds out
		{14 * time.Second, well, false},
		{15 * time.Second, unknown, true}, // has found out nothing
		{15 * time.Second, unwell, true},
		{34 * time.Second, well, false},
		{35 * time.Second, well, true},
		{35 * time.Second, unwell, true}, // as if nothing had been
		{35 * time.Second, unwell, true},
		{35 * time.Second, unwell, true},
		{39 * time.Second, well, false},
	} {
		if asked := ask(step.at, step.v); asked != step.asked {
			t.Fatalf("step %d, after %v: asked %t", i, step.at, asked)
		}
	}
	if _, is := b.begin("another", start); !is {
		t.Error("another plugin is left alone as well")
	}
}

func TestASingleQuestionFindsOutHowAPluginIs(t *testing.T) {
	b, now := newBreakers(), time.Now()
	fail(t, b, now, breakAfter)
	now = now.Add(firstBreak)
	finds, first := b.begin("p", now)
	if _, second := b.begin("p", now); !first || !finds || second || b.allows("p", now) {
		t.Error("not one question alone")
	}
	b.end("p", now, finds, well)
	for range 2 {
		if _, is := b.begin("p", now); !is {
			t.Error("it is well, and is not asked")
		}
	}
}

func TestTheLongestBreakIsBounded(t *testing.T) {
	b, now := newBreakers(), time.Now()
	for range 100 {
		fail(t, b, now, 1)
		now = now.Add(longestBreak)
	}
	if !b.allows("p", now) {
		t.Errorf("it is left alone for more than %v", longestBreak)
	}
}

func TestWhatACallTellsOfAPlugin(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		within time.Duration
		want   verdict
	}{
		"an answer":               {nil, time.Second, well},
		"nothing was found":       {notFound(), time.Second, well},
		"an error of its own":     {subjects.Errorf(subjects.ErrPlugin, "no luck"), time.Second, well},
		"a crash":                 {subjects.Errorf(subjects.ErrCrashed, ""), time.Second, unwell},
		"nobody serves it":        {subjects.Errorf(subjects.ErrUnavailable, ""), time.Second, unwell},
		"slow":                    {subjects.Errorf(subjects.ErrDeadlineExceeded, ""), time.Second, unwell},
		"a caller in a hurry":     {subjects.Errorf(subjects.ErrDeadlineExceeded, ""), time.Millisecond, unknown},
		"a caller who is gone":    {context.Canceled, time.Second, unknown},
		"a host that is too busy": {subjects.Errorf(subjects.ErrOverloaded, ""), time.Second, unknown},
	} {
		if got := verdictOf(c.err, c.within); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

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
