package kvcache

import (
	"testing"
	"time"
)

func TestAClockIsKnownAsWellAsTheQuickestAnswerTells(t *testing.T) {
	t.Parallel()
	midnight := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC) // at moment 0
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	type answer struct{ asked, shown, answered int } // milliseconds
	tests := map[string]struct {
		answers []answer
		want    int // what the clock shows at moment 10,000 at the least
	}{
		"one answer":                            {[]answer{{0, 300, 300}}, 10_000},
		"it took long on the way back":          {[]answer{{0, 0, 300}}, 9_700},
		"it took long on the way there":         {[]answer{{0, 300, 301}}, 9_999},
		"a quick answer is better":              {[]answer{{0, 0, 300}, {1000, 1000, 1002}}, 9_998},
		"a slow answer is no better":            {[]answer{{0, 1, 2}, {1000, 1000, 1300}}, 9_999},
		"the clock was put forward":             {[]answer{{0, 1, 2}, {1000, 5001, 1002}}, 13_999},
		"the clock was put back":                {[]answer{{0, 1, 2}, {1000, 501, 1002}}, 9_499},
		"a quick answer within a slow one":      {[]answer{{0, 100, 300}, {1000, 1050, 1100}, {2000, 2001, 2002}}, 9_999},
		"set while answers are slow, and quick": {[]answer{{0, 0, 300}, {1000, 3000, 1300}, {2000, 4001, 2002}}, 11_999},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var c serverClock
			for _, a := range test.answers {
				c.learn(midnight.Add(ms(a.shown)), moment(ms(a.asked)), moment(ms(a.answered)))
			}
			if got := c.at(moment(ms(10_000))).Sub(midnight); got != ms(test.want) {
				t.Errorf("%v after midnight, want %v", got, ms(test.want))
			}
		})
	}
}
