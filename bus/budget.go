package bus

import (
	"time"

	"golang.org/x/time/rate"

	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// controlShare is how much of a processor the answers to one kind of control
	// requests may take, and controlBurst how long they may take at once after there were
	// none.
	controlShare = 0.1
	controlBurst = time.Second
)

// budget bounds the time that the answers to one kind of requests take: every replica
// answers each, and whoever asks pays nothing.
type budget struct{ spendable *rate.Limiter } // in microseconds

func newBudget() *budget {
	return &budget{rate.NewLimiter(rate.Limit(controlShare*float64(time.Second.Microseconds())), int(controlBurst.Microseconds()))}
}

// check is ErrOverloaded while more is spent than may be.
func (b *budget) check() error {
	if b.spendable.Tokens() > 0 {
		return nil
	}
	failure := subjects.Errorf(subjects.ErrOverloaded, "there are more requests of this kind than a replica answers: try again later")
	failure.RetryAfter = retryAfter
	return failure
}

// spend counts the time since start.
func (b *budget) spend(start time.Time) {
	b.spendable.ReserveN(time.Now(), int(min(time.Since(start), controlBurst).Microseconds()))
}
