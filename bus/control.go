package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/internal/natswire"
	"github.com/pluginhost/pluginhost/subjects"
)

// ControlHandler answers a control request with what is to be sent as JSON.
// token is the last token of the subject. A nil answer sends nothing.
type ControlHandler struct {
	Answer func(token string) any
	// Waits is an answer that takes long and costs little. Any other is refused with
	// subjects.ErrOverloaded while those of its subject take too much time.
	Waits bool
}

// Control answers control requests: every replica does, so there is no queue
// group.
type Control struct {
	bus           *Bus
	subscriptions []*nats.Subscription
	mu            sync.Mutex
	stopped       bool
	answering     sync.WaitGroup
}

// maxAnswering bounds how many requests of one subject are answered at once; the
// others wait their turn.
const maxAnswering = 8

// flushControl waits a little until the server knows of all that control has subscribed to,
// and fails if it never will.
func (b *Bus) flushControl(what string) error {
	err := b.control.FlushTimeout(connectTimeout)
	switch {
	case err == nil:
		return nil
	case b.control.IsClosed():
		return fmt.Errorf("subscribe to %s: %w", what, err)
	}
	// The connection will be back, and the subscriptions with it.
	b.config.Logger.Warn("the server may not know yet that we answer "+what, "error", err)
	return nil
}

// StartControl subscribes to the subjects of handlers. A handler runs on a
// goroutine of its own. The caller stops it.
func (b *Bus) StartControl(handlers map[string]ControlHandler) (*Control, error) {
	c := &Control{bus: b}
	for subject, handle := range handlers {
		slots := make(chan struct{}, maxAnswering)
		budget := newBudget()
		s, err := b.control.subscribe(subject, "", func(msg *nats.Msg) {
			err := natswire.RefusedError(msg.Header)
			if err == nil && !handle.Waits {
				err = budget.check()
			}
			if err != nil {
				b.refuse(msg, err)
				return
			}
			if !c.begin() {
				return
			}
			slots <- struct{}{}
			go func() {
				defer c.answering.Done()
				defer func() { <-slots }()
				defer budget.spend(time.Now())
				c.answer(msg, handle.Answer)
			}()
		})
		if err != nil {
			return nil, errors.Join(err, c.Stop())
		}
		c.subscriptions = append(c.subscriptions, s)
	}
	if err := b.flushControl("control requests"); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// begin counts a request that came, unless Stop waits for the last.
func (c *Control) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped {
		c.answering.Add(1)
	}
	return !c.stopped
}

func (c *Control) answer(msg *nats.Msg, handle func(token string) any) {
	answer := handle(lastToken(msg.Subject))
	if answer == nil || !subjects.MayReply(msg.Reply) {
		return
	}
	body, err := json.Marshal(answer)
	if err == nil {
		err = msg.Respond(body)
	}
	if err != nil {
		c.bus.config.Logger.Warn("control request could not be answered", "subject", msg.Subject, "error", err)
	}
}

// Stop takes no more requests and waits for those that are being answered.
func (c *Control) Stop() error {
	err := unsubscribeAll(c.subscriptions)
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.answering.Wait()
	return err
}
