package api_test

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pluginhost/pluginhost/sdk/api"
)

// A plugin that was built for Navidrome 0.58 skips fields that it does not know: all that it knows must be as it was.
func TestTheFieldsThatNavidrome058DoesNotHaveComeAfterAllOthers(t *testing.T) {
	track := &api.TrackInfo{
		Id: "id", Mbid: "m", Name: "n", Album: "a", AlbumMbid: "am", Length: 240, Position: 7,
		Artists: []*api.Artist{{Name: "x", Mbid: "y"}}, AlbumArtists: []*api.Artist{{Name: "z"}},
	}
	former, err := track.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	track.TrackNumber, track.DiscNumber, track.DurationMs, track.ReleaseGroupMbid = 3, 1, 240_500, "rg"
	now, err := track.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	more, is := bytes.CutPrefix(now, former)
	if !is {
		t.Fatalf("%x does not begin with %x", now, former)
	}
	fields := 0
	for ; len(more) > 0; fields++ {
		number, kind, n := protowire.ConsumeTag(more)
		if n < 0 || number < 100 {
			t.Fatalf("field %d (%d): a number from 100 on is not Navidrome's", number, n)
		}
		more = more[n+protowire.ConsumeFieldValue(number, kind, more[n:]):]
	}
	if fields != 4 {
		t.Errorf("%d fields, want 4", fields)
	}
}
