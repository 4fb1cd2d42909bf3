package client

import (
	"context"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/subjects"
)

func TestAPluginThatFailsAgainAndAgainIsLeftAloneForAWhile(t *testing.T) {
	b, start := newBreakers(), time.Now()
	ask := func(at time.Duration, v verdict) (asked bool) {
		if !b.begin("p", start.Add(at)) {
			return false
		}
		b.end("p", start.Add(at), v)
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
	if !b.begin("another", start) {
		t.Error("another plugin is left alone as well")
	}
}

func TestASingleQuestionFindsOutHowAPluginIs(t *testing.T) {
	b, now := newBreakers(), time.Now()
	for range breakAfter {
		b.begin("p", now)
		b.end("p", now, unwell)
	}
	now = now.Add(firstBreak)
	if !b.begin("p", now) || b.begin("p", now) || b.allows("p", now) {
		t.Error("not one question alone")
	}
	b.end("p", now, well)
	for range 2 {
		if !b.begin("p", now) {
			t.Error("it is well, and is not asked")
		}
	}
}

func TestTheLongestBreakIsBounded(t *testing.T) {
	b, now := newBreakers(), time.Now()
	for range 100 {
		b.begin("p", now)
		b.end("p", now, unwell)
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
