package jet

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

func TestLimitsOfAnAccountAreThoseOfOneCopy(t *testing.T) {
	tier := func(store, limit int64) jetstream.Tier {
		return jetstream.Tier{Store: uint64(store), Memory: uint64(store) * 2, Limits: jetstream.AccountLimits{MaxStore: limit, MaxMemory: limit * 2}}
	}
	for name, test := range map[string]struct {
		account     jetstream.AccountInfo
		copies      int64
		inMemory    bool
		limit, used int64
	}{
		"one copy":                  {jetstream.AccountInfo{Tier: tier(10, 90)}, 1, false, 90, 10},
		"in memory":                 {jetstream.AccountInfo{Tier: tier(10, 90)}, 1, true, 180, 20},
		"a limit of all copies":     {jetstream.AccountInfo{Tier: tier(30, 90)}, 3, false, 30, 10},
		"a limit of each copy":      {jetstream.AccountInfo{Tiers: map[string]jetstream.Tier{"R1": tier(5, 50), "R3": tier(30, 90)}}, 3, false, 90, 10},
		"no limit":                  {jetstream.AccountInfo{Tier: tier(30, -1)}, 3, false, 0, 10},
		"tiers, and no limit of it": {jetstream.AccountInfo{Tiers: map[string]jetstream.Tier{"R3": tier(30, -1)}}, 3, false, 0, 10},
	} {
		t.Run(name, func(t *testing.T) {
			if limit, used := oneCopy(&test.account, test.copies, test.inMemory); limit != test.limit || used != test.used {
				t.Errorf("%d of %d, want %d of %d", used, limit, test.used, test.limit)
			}
		})
	}
}
