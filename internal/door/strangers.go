package door

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// wrongBurst is how many wrong tokens an address may send at once, and wrongInterval when it may send one more. Navidrome tries
	// every 10 seconds with a token that was revoked.
	wrongBurst    = 10
	wrongInterval = 6 * time.Second
	// maxAddresses is of how many addresses that is known: the one that was wrong the longest ago is forgotten for another.
	maxAddresses = 10_000
	// siteBits is how much of an IPv6 address is one sender's: who has any has all those that differ in the rest.
	siteBits = 64
)

// Strangers bounds how often an address is told that its token is wrong. Requests with a right token never come here. It is safe for
// concurrent use; the zero value has seen nobody.
type Strangers struct {
	mu     sync.Mutex
	of     map[netip.Addr]*list.Element
	recent list.List // of *sender, the one that was wrong last in front
}

type sender struct {
	from    netip.Addr
	limiter *rate.Limiter
}

// Allow counts a wrong token from an address, and tells whether these are not too many: 10 at once, and one more every 6 seconds.
func (w *Strangers) Allow(from netip.Addr, now time.Time) bool {
	if from.Is6() {
		site, _ := from.Prefix(siteBits) // an error is of other lengths
		from = site.Addr()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == nil {
		w.of = make(map[netip.Addr]*list.Element)
	}
	at := w.of[from]
	if at == nil {
		at = w.recent.PushFront(&sender{from, rate.NewLimiter(rate.Every(wrongInterval), wrongBurst)})
		w.of[from] = at
		if w.recent.Len() > maxAddresses {
			forgotten := w.recent.Remove(w.recent.Back()).(*sender)
			delete(w.of, forgotten.from)
		}
	}
	w.recent.MoveToFront(at)
	return at.Value.(*sender).limiter.AllowN(now, 1)
}
