package nearest_test

import (
	"slices"
	"testing"

	"github.com/pluginhost/pluginhost/internal/nearest"
)

func TestAWordStandsForWhatIsClose(t *testing.T) {
	names := []string{"MetadataAgent", "Scrobbler", "SchedulerCallback", "LifecycleManagement", "WebSocketCallback", "URL", "NATS"}
	for word, want := range map[string]string{
		"Scrobler":          "Scrobbler",
		"scrobbler":         "Scrobbler",
		"Scroblers":         "Scrobbler",
		"MetadataAgents":    "MetadataAgent",
		"WebsocketCallBack": "WebSocketCallback",
		"Scheduler":         "",
		"":                  "",
		"Lyrics":            "",
		"Nat":               "NATS",
		"Nets":              "NATS",
		"Note":              "",
		"RUL":               "",
	} {
		if got := nearest.To(word, names); got != want {
			t.Errorf("nearest to %q is %q, want %q", word, got, want)
		}
	}
}

func TestTheNearestIsFoundInAnyOrder(t *testing.T) {
	candidates := []string{"abcdefxyz", "abcdefghi"}
	for range candidates {
		if got := nearest.To("abcdefgh", candidates); got != "abcdefghi" {
			t.Errorf("nearest among %q is %q, want abcdefghi", candidates, got)
		}
		slices.Reverse(candidates)
	}
}
