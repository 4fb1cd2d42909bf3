package bus

import (
	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
)

// refuse answers a request with why it is not carried out, if it may be answered.
func (b *Bus) refuse(msg *nats.Msg, err error) {
	if !subjects.MayReply(msg.Reply) {
		return
	}
	reply := nats.NewMsg(msg.Reply)
	call.WriteFailure(reply.Header, call.FailureOf(err), call.MaxErrorText)
	if err := msg.RespondMsg(reply); err != nil {
		b.config.Logger.Warn("a refusal could not be sent", "subject", msg.Subject, "error", err)
	}
}
