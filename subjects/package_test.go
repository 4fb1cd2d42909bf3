package subjects_test

import (
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/subjects"
)

func TestPackageRecordsAreChecked(t *testing.T) {
	digest := strings.Repeat("0123456789abcdef", 4)
	record := func(v, id, digest, size string) string {
		return `{"v":` + v + `,"id":"` + id + `","name":"n","version":"1","digest":"` + digest + `","size":` + size + `,"time":"2026-11-23T06:00:00Z"}`
	}
	for name, c := range map[string]struct{ key, body, says string }{
		"a good one":             {"package.p", record("1", "p", digest, "10"), ""},
		"a good one, encoded":    {"package.my=2Eplugin", record("1", "my.plugin", digest, "10"), ""},
		"no JSON":                {"package.p", "{", "package.p"},
		"nothing":                {"package.p", "null", "version"},
		"another version":        {"package.p", record("2", "p", digest, "10"), "version"},
		"another's key":          {"package.q", record("1", "p", digest, "10"), "id"},
		"no id":                  {"package.=", record("1", "", digest, "10"), "id"},
		"a path for a digest":    {"package.p", record("1", "p", "../../../etc", "10"), "digest"},
		"a digest in capitals":   {"package.p", record("1", "p", strings.ToUpper(digest), "10"), "digest"},
		"a short digest":         {"package.p", record("1", "p", digest[:62], "10"), "digest"},
		"no size":                {"package.p", record("1", "p", digest, "0"), "size"},
		"more than a package is": {"package.p", record("1", "p", digest, "134217729"), "size"},
		"an id that is too long": {"package." + strings.Repeat("p", 256), record("1", strings.Repeat("p", 256), digest, "10"), "id"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := subjects.ParsePackageRecord(c.key, []byte(c.body))
			switch {
			case c.says == "" && (err != nil || got.Size != 10 || got.Time.IsZero()):
				t.Errorf("got %+v, %v", got, err)
			case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
				t.Errorf("got %v, want %q in it", err, c.says)
			}
		})
	}
}
