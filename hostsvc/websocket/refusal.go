package websocket

import (
	"context"
	"fmt"
	"net/url"

	"github.com/pluginhost/pluginhost/hostsvc/internal/egress"
	"github.com/pluginhost/pluginhost/hostsvc/netguard"
	api "github.com/pluginhost/pluginhost/sdk/api/host/websocket"
)

// How the errors of a ConnectResponse begin, as plugins know them.
const (
	blockedPrefix = "Connection blocked by plugin permissions: "
	failedPrefix  = "failed to connect to WebSocket server: "
	// And those of the responses to what is done with a connection.
	failedSend  = "failed to send message: "
	failedClose = "failed to close connection: "
)

// check returns the URL to dial in place of the one asked for.
func (s *Service) check(rawURL string) (*url.URL, error) {
	target, err := s.gate.Check(rawURL, "GET")
	if err != nil {
		return nil, err
	}
	if target.Scheme != "ws" && target.Scheme != "wss" {
		reason := fmt.Sprintf("invalid URL: scheme %q is not ws or wss", target.Scheme)
		return nil, &netguard.BlockedError{Kind: netguard.ErrURL, Reason: reason}
	}
	return target, nil
}

// blocked logs a refusal and makes the response for it.
func (s *Service) blocked(ctx context.Context, rawURL string, err error) *api.ConnectResponse {
	s.gate.Warn(ctx, "connection of plugin blocked", rawURL, err)
	if refusal := egress.Refusal(err); refusal != nil { // without the words around it
		err = refusal
	}
	return &api.ConnectResponse{Error: blockedPrefix + err.Error()}
}

func failedConnect(err error) *api.ConnectResponse {
	return &api.ConnectResponse{Error: failedPrefix + errorText(err)}
}
