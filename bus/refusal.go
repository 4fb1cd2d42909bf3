package bus

import (
	"errors"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/internal/excerpt"
	"github.com/pluginhost/pluginhost/subjects"
)

// refuse answers a request with why it is not carried out, if it may be answered.
func (b *Bus) refuse(msg *nats.Msg, err error) {
	if !subjects.MayReply(msg.Reply) {
		return
	}
	failure := subjects.Errorf(subjects.ErrPlugin, "%w", err)
	_ = errors.As(err, &failure)
	reply := nats.NewMsg(msg.Reply)
	reply.Header.Set(subjects.HeaderErrorCode, strconv.Itoa(failure.Code()))
	reply.Header.Set(subjects.HeaderError, excerpt.Header(failure.Text, subjects.MaxErrorText))
	if failure.RetryAfter > 0 {
		reply.Header.Set(subjects.HeaderRetryAfter, failure.RetryAfter.String())
	}
	if err := msg.RespondMsg(reply); err != nil {
		b.config.Logger.Warn("a refusal could not be sent", "subject", msg.Subject, "error", err)
	}
}
