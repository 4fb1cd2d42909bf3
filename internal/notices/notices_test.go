package notices_test

import (
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost"
	"github.com/pluginhost/pluginhost/internal/notices"
)

func TestTheNoticesAreThoseOfWhatIsLinkedNow(t *testing.T) {
	want, err := notices.Collect(t.Context(), "../..", notices.Programs()...)
	if err != nil {
		t.Fatal(err)
	}
	if pluginhost.ThirdPartyNotices() != string(want) {
		t.Error("THIRD_PARTY_NOTICES is not current: run \"make generate\", and see whether what is new may be linked")
	}
}

func TestNoticesOfEverythingThatIsLinkedAnywhere(t *testing.T) {
	all := pluginhost.ThirdPartyNotices()
	for what, line := range map[string]string{
		"the standard library":              "Go, its runtime and standard library: LICENSE\n",
		"a grant of patents":                "Go, its runtime and standard library: PATENTS\n",
		"a module that only Windows needs":  "github.com/inconshreveable/mousetrap v",
		"a notice beside a licence":         ": NOTICE\n",
		"a licence of a folder of a module": ": s2/LICENSE\n",
	} {
		if !strings.Contains(all, line) {
			t.Errorf("%s: no %q", what, line)
		}
	}
	if strings.Contains(all, "go.uber.org/goleak") {
		t.Error("there is a module that only tests need")
	}
}
