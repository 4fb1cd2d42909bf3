package subjects_test

import (
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/subjects"
)

func TestAHeaderHasOneValue(t *testing.T) {
	for name, c := range map[string]struct {
		header map[string][]string
		want   string
		fault  string // part of the error
	}{
		"no header at all":            {nil, "", ""},
		"others":                      {map[string][]string{"Pluginhost-Timeou": {"1s"}, "X": {"a", "b"}}, "", ""},
		"one":                         {map[string][]string{"Pluginhost-Timeout": {"1s"}, "X": {"a", "b"}}, "1s", ""},
		"one in another case":         {map[string][]string{"pluginhost-timeout": {"1s"}}, "1s", ""},
		"an empty one":                {map[string][]string{"Pluginhost-Timeout": {""}}, "", ""},
		"a name without values":       {map[string][]string{"Pluginhost-Timeout": {}, "pluginhost-timeout": {"1s"}}, "1s", ""},
		"two values":                  {map[string][]string{"Pluginhost-Timeout": {"1s", "2s"}}, "", "header Pluginhost-Timeout is there 2 times: want one"},
		"the same value twice":        {map[string][]string{"Pluginhost-Timeout": {"1s", "1s"}}, "", "2 times"},
		"an empty one and another":    {map[string][]string{"Pluginhost-Timeout": {"", "1s"}}, "", "2 times"},
		"names that differ in case":   {map[string][]string{"Pluginhost-Timeout": {"1s"}, "PLUGINHOST-TIMEOUT": {"2s"}}, "", "2 times"},
		"several under several names": {map[string][]string{"Pluginhost-Timeout": {"1s"}, "pluginhost-timeout": {"2s", "3s"}}, "", "3 times"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := subjects.HeaderValue(c.header, subjects.HeaderTimeout)
			if got != c.want || (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
				t.Errorf("got %q, %v, want %q and the error %q", got, err, c.want, c.fault)
			}
		})
	}
}
