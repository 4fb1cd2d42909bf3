package usage_test

import (
	"math"
	"os"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/testenv/soak/usage"
)

func TestTrendIsThatOfTheSecondHalf(t *testing.T) {
	var samples []usage.Sample
	for i := range int64(20) {
		// The heap grows and then stays; a file is lost with every thousand calls.
		samples = append(samples, usage.Sample{Calls: 1000 * i, Usage: usage.Usage{Heap: min(i, 10) << 20, Files: 7 + i}})
	}
	trends := usage.Trends(samples)
	for _, trend := range trends {
		want := map[string]usage.Trend{
			"heap":       {First: 0, Last: 10 << 20},
			"open files": {First: 7, Last: 26, PerThousand: 1, Growth: 9},
		}[trend.Name]
		if trend.First != want.First || trend.Last != want.Last || math.Abs(trend.PerThousand-want.PerThousand) > 1e-9 || math.Abs(trend.Growth-want.Growth) > 1e-9 {
			t.Errorf("%s: %+v, want %+v", trend.Name, trend, want)
		}
	}
	grown := usage.Grown(trends, usage.Spare())
	if len(grown) != 1 || !strings.HasPrefix(grown[0], "open files: 9 more") {
		t.Errorf("grown: %q", grown)
	}
}

func TestOpenFilesAndWhatIsKeptAreSeen(t *testing.T) {
	before := usage.Measure()
	if before.Files == 0 || before.Mappings == 0 || before.Private == 0 {
		t.Skip("the system does not tell")
	}
	for range 6 {
		file, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = file.Close() }()
	}
	kept := make([]byte, 32<<20)
	for i := range kept {
		kept[i] = byte(i)
	}
	after := usage.Measure()
	grown := strings.Join(after.Grown(before, usage.Spare()), "\n")
	for _, name := range []string{"open files", "heap", "resident", "private"} {
		if !strings.Contains(grown, name+":") {
			t.Errorf("%s has not grown: %s", name, grown)
		}
	}
	if strings.Contains(grown, "goroutines") {
		t.Errorf("grown: %s", grown)
	}
	if kept[1] != 1 {
		t.Error("never: it is needed until here")
	}
}
