package websocket

import (
	"context"
	"errors"
	"fmt"

	"github.com/pluginhost/pluginhost/hostsvc/internal/egress"
	"github.com/pluginhost/pluginhost/hostsvc/internal/nanoid"
	"github.com/pluginhost/pluginhost/hostsvc/netguard"
	"github.com/pluginhost/pluginhost/sdk/api/host"
	api "github.com/pluginhost/pluginhost/sdk/api/host/websocket"
)

// Functions are those that a guest imports, each with its limit.
func (s *Service) Functions() []host.Function {
	id := nanoid.MaxGiven + host.Framing
	message := int(s.config.MaxMessage) + id
	sent := func(err error) string {
		return failedSend + explained(err, "a message has at most %d bytes, an id %d", s.config.MaxMessage, nanoid.MaxGiven)
	}
	return host.Limited(api.Functions(s), map[string]host.Limit{
		"connect": {
			MaxRequest: netguard.MaxURLLength + egress.MaxHeaderMessage + id,
			Refuse: host.Answer(func(_ context.Context, err error) (*api.ConnectResponse, error) {
				return &api.ConnectResponse{Error: failedPrefix + explained(err, "all headers together have at most %d bytes, the URL %d, an id %d",
					egress.MaxHeaderBytes, netguard.MaxURLLength, nanoid.MaxGiven)}, nil
			}),
		},
		"send_text": {MaxRequest: message, Refuse: host.Answer(func(_ context.Context, err error) (*api.SendTextResponse, error) {
			return &api.SendTextResponse{Error: sent(err)}, nil
		})},
		"send_binary": {MaxRequest: message, Refuse: host.Answer(func(_ context.Context, err error) (*api.SendBinaryResponse, error) {
			return &api.SendBinaryResponse{Error: sent(err)}, nil
		})},
		"close": {MaxRequest: maxReason + id, Refuse: host.Answer(func(_ context.Context, err error) (*api.CloseResponse, error) {
			return &api.CloseResponse{Error: failedClose + explained(err, "a reason has at most %d bytes, an id %d", maxReason, nanoid.MaxGiven)}, nil
		})},
	})
}

// explained is the text of a refusal, with what a request that is too long may have.
func explained(err error, limits string, values ...any) string {
	text := errorText(err)
	var tooLong *host.RequestError
	if errors.As(err, &tooLong) {
		text += ": " + fmt.Sprintf(limits, values...)
	}
	return text
}
