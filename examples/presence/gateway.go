package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/cache"
	"github.com/pluginhost/pluginhost/sdk/api/host/websocket"
)

// What a message of the gateway is about, and what one to it is.
const (
	opDispatch       = 0
	opHeartbeat      = 1
	opIdentify       = 2
	opPresence       = 3
	opReconnect      = 7
	opInvalidSession = 9
	opHello          = 10
	opHeartbeatAck   = 11
)

// Codes with which connections are closed.
const (
	closeNormal = 1000
	closeAgain  = 4000 // we want another one

	closeBadToken     = 4004
	closeFirstRefused = 4010
	closeLastRefused  = 4014
)

// isFinal says whether another attempt could not go better.
func isFinal(code int32) bool {
	return code == closeBadToken || code >= closeFirstRefused && code <= closeLastRefused
}

// received is a message of the gateway.
type received struct {
	Op       int             `json:"op"`
	Data     json.RawMessage `json:"d"`
	Sequence int64           `json:"s"`
	Event    string          `json:"t"`
}

// sent is a message to it.
type sent struct {
	Op   int `json:"op"`
	Data any `json:"d"`
}

type (
	identity struct {
		Token      string            `json:"token"`
		Intents    int               `json:"intents"`
		Properties map[string]string `json:"properties"`
	}
	status struct {
		Since      *int64     `json:"since"`
		Activities []activity `json:"activities"`
		Status     string     `json:"status"`
		AFK        bool       `json:"afk"`
	}
	activity struct {
		Name       string           `json:"name"`
		Type       int              `json:"type"`
		Details    string           `json:"details"`
		State      string           `json:"state,omitempty"`
		Timestamps map[string]int64 `json:"timestamps"` // Unix milliseconds
	}
)

// typeListening is the type of an activity that is music.
const typeListening = 2

// newStatus is the presence of somebody who plays a track, or nothing.
func newStatus(what *track) status {
	s := status{Activities: []activity{}, Status: "online"}
	if what != nil {
		s.Activities = append(s.Activities, activity{
			Name: "Navidrome", Type: typeListening, Details: what.Title, State: what.Artist,
			Timestamps: map[string]int64{"start": what.Starts * 1000, "end": what.Ends * 1000},
		})
	}
	return s
}

// OnTextMessage is called for each message of the gateway, in their order.
func (p *presence) OnTextMessage(ctx context.Context, request *api.OnTextMessageRequest) (*api.OnTextMessageResponse, error) {
	var message received
	if err := json.Unmarshal([]byte(request.Message), &message); err != nil {
		return nil, fmt.Errorf("message of the gateway: %w", err)
	}
	return &api.OnTextMessageResponse{}, p.handle(ctx, request.ConnectionId, message)
}

// OnBinaryMessage ignores what no gateway sends that was asked for JSON.
func (p *presence) OnBinaryMessage(context.Context, *api.OnBinaryMessageRequest) (*api.OnBinaryMessageResponse, error) {
	return &api.OnBinaryMessageResponse{}, nil
}

func (p *presence) handle(ctx context.Context, account string, message received) error {
	switch message.Op {
	case opHello:
		return p.greeted(ctx, account, message.Data)
	case opDispatch:
		return p.dispatched(ctx, account, message)
	case opHeartbeat:
		return p.sendHeartbeat(ctx, account)
	case opHeartbeatAck:
		return p.answered(ctx, account)
	case opReconnect, opInvalidSession:
		return p.close(ctx, account, closeAgain, "connecting anew")
	default:
		return nil // for others
	}
}

// greeted begins the heartbeats and says who we are.
func (p *presence) greeted(ctx context.Context, account string, data json.RawMessage) error {
	var hello struct {
		Milliseconds int64 `json:"heartbeat_interval"`
	}
	if err := json.Unmarshal(data, &hello); err != nil {
		return fmt.Errorf("hello of the gateway: %w", err)
	}
	settings, err := p.settings(ctx)
	if err != nil {
		return err
	}
	if err := p.beginHeartbeats(ctx, account, hello.Milliseconds); err != nil {
		return err
	}
	return p.send(ctx, account, opIdentify, identity{
		Token:      settings.tokens[account],
		Properties: map[string]string{"os": "linux", "browser": "pluginhost", "device": "pluginhost"},
	})
}

// dispatched notes how far the session has got, and shows the track when it is
// ready.
func (p *presence) dispatched(ctx context.Context, account string, message received) error {
	if message.Sequence > 0 {
		if _, err := p.cache.SetInt(ctx, &cache.SetIntRequest{Key: sequenceKey(account), Value: message.Sequence}); err != nil {
			return fmt.Errorf("keep the sequence: %w", err)
		}
	}
	if message.Event != "READY" {
		return nil
	}
	// In this order: a track that starts now is shown by NowPlaying or here.
	if err := p.setSession(ctx, account, ready, 0); err != nil {
		return err
	}
	track, err := p.track(ctx, account)
	if err != nil || track == nil {
		return err
	}
	return p.send(ctx, account, opPresence, newStatus(track))
}

// send sends a message, from whichever replica; errNoConnection says that nobody has
// the connection.
func (p *presence) send(ctx context.Context, account string, op int, data any) error {
	body, err := json.Marshal(sent{Op: op, Data: data})
	if err != nil {
		return fmt.Errorf("encode a message: %w", err)
	}
	response, err := p.sockets.SendText(ctx, &websocket.SendTextRequest{ConnectionId: account, Message: string(body)})
	switch {
	case err != nil:
		return err
	case response.Error == errNoConnection.Error():
		return errNoConnection
	case response.Error != "":
		return errors.New(response.Error)
	}
	return nil
}
