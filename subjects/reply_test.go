package subjects_test

import (
	"testing"

	"github.com/pluginhost/pluginhost/subjects"
)

func TestWhereRequestsMayBeAnswered(t *testing.T) {
	for reply, want := range map[string]bool{
		"_INBOX.abc.1":                         true,
		"_INBOX_navidrome.abc.1":               true,
		"_R_.abc":                              true, // of another account
		"my.answers":                           true,
		"":                                     false,
		"$JS.API.STREAM.DELETE.KV_p":           false,
		"$KV.pluginhost-state.artwork.key":     false,
		"$SRV.PING":                            false,
		"plugins.p.scrobble":                   false,
		"pluginhost.ctl.drain":                 false,
		"navidrome.subsonic":                   false,
		"scrobbles":                            false,
		"scrobbles.p":                          false,
		"plays.p.u.1":                          false,
		"deadplays.p.u.1":                      false,
		"fires.p.s":                            false,
		subjects.InboxPrefix + ".abc.1":        false,
		subjects.InboxPrefix + "2.of.somebody": true,
	} {
		if got := subjects.MayReply(reply); got != want {
			t.Errorf("%q: got %t", reply, got)
		}
	}
}
