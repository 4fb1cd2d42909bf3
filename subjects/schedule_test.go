package subjects_test

import (
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/subjects"
)

func TestConsumersOfFiresHaveNamesOfTheirOwn(t *testing.T) {
	long := strings.Repeat("l", 129)
	ids := []string{
		"plugin", "multi_plugin", "a.b", "a b", "ä", "", "=", "=20",
		"Plugin", "PLUGIN", "plugin-", // in the case of letters
		long, strings.ToUpper(long), long + "l", strings.Repeat("ä", 60), // too long
		subjects.Hash(long), subjects.Hash(long) + "=", strings.ToUpper(subjects.Hash(long)), subjects.Hash("Plugin"),
	}
	names := make(map[string]string)
	for _, id := range ids {
		name := subjects.FireConsumer(id)
		if len(name) > 128 || strings.ContainsAny(name, ". *>/\\") {
			t.Errorf("%.40q has the name %q", id, name)
		}
		folder := strings.ToLower(name)
		if other, taken := names[folder]; taken {
			t.Errorf("%.40q and %.40q have the name %q", other, id, name)
		}
		names[folder] = id
	}
}

// Those of former versions stay as they are, for nearly all plugins.
func TestConsumersOfFiresKeepTheirNames(t *testing.T) {
	for _, id := range []string{"plugin", "multi_plugin", "discord-rich-presence", "v2", subjects.Hash("x")} {
		if name, former := subjects.FireConsumer(id), subjects.FormerFireConsumer(id); name != former || name != id {
			t.Errorf("%s has the name %s, and had %s", id, name, former)
		}
	}
}

func FuzzConsumersOfFires(f *testing.F) {
	f.Add("a", "A")
	f.Add(strings.Repeat("l", 129), subjects.Hash(strings.Repeat("l", 129)))
	f.Add(" 3f", "=203f")
	f.Fuzz(func(t *testing.T, one, other string) {
		if one != other && strings.EqualFold(subjects.FireConsumer(one), subjects.FireConsumer(other)) {
			t.Errorf("%q and %q have the name %q", one, other, subjects.FireConsumer(one))
		}
		if one != other && subjects.IsFireOf(one, subjects.Fire(subjects.ScheduleKey(other, "s"))) {
			t.Errorf("%q takes a fire of %q", one, other)
		}
	})
}
