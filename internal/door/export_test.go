package door

// The limits, for tests that go up to them.
const (
	MaxAddresses  = maxAddresses
	WrongInterval = wrongInterval
)

// Addresses is of how many addresses something is known.
func (w *Strangers) Addresses() (listed, mapped int) { return w.recent.Len(), len(w.of) }

// Senders is of how many senders something is known.
func (b *Bodies) Senders() int { return len(b.of) }
