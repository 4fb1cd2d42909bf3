package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/cache"
	"github.com/pluginhost/pluginhost/sdk/api/host/scheduler"
	"github.com/pluginhost/pluginhost/sdk/api/host/websocket"
)

// The state of an account's connection, as the cache has it. It is what the plugin
// was last told; what is true shows when something is sent.
const (
	none       = ""
	connecting = "connecting" // the gateway has not said READY
	ready      = "ready"
)

// connectingSeconds is for how long a gateway is waited for that takes connections
// and says nothing.
const connectingSeconds = 30

// errNoConnection is what the host answers where nobody has the connection.
var errNoConnection = errors.New("connection not found")

func sessionKey(account string) string { return "session:" + account }

func (p *presence) session(ctx context.Context, account string) (string, error) {
	kept, err := p.cache.GetString(ctx, &cache.GetRequest{Key: sessionKey(account)})
	if err != nil {
		return none, fmt.Errorf("read the session: %w", err)
	}
	return kept.Value, nil
}

func (p *presence) setSession(ctx context.Context, account, state string, seconds int64) error {
	kept, err := p.cache.SetString(ctx, &cache.SetStringRequest{Key: sessionKey(account), Value: state, TtlSeconds: seconds})
	if err != nil {
		return fmt.Errorf("keep the session: %w", err)
	}
	if !kept.Success {
		return fmt.Errorf("the session of %s could not be kept: the host's log says why", account)
	}
	return nil
}

// connect connects an account. The connection takes the place of one that the
// account may have: there is never a second.
func (p *presence) connect(ctx context.Context, settings settings, account string) error {
	// Before the connection is there, as its first message may come at once.
	if err := p.setSession(ctx, account, connecting, connectingSeconds); err != nil {
		return err
	}
	response, err := p.sockets.Connect(ctx, &websocket.ConnectRequest{Url: settings.gateway, ConnectionId: account})
	if err == nil && response.Error != "" {
		err = errors.New(response.Error)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("connect %s: %w", account, err), p.lost(ctx, account))
	}
	return nil
}

// OnClose is called when the gateway or we have closed the connection.
func (p *presence) OnClose(ctx context.Context, request *api.OnCloseRequest) (*api.OnCloseResponse, error) {
	p.logf("the connection of %s was closed: %d %s", request.ConnectionId, request.Code, request.Reason)
	if isFinal(request.Code) {
		return &api.OnCloseResponse{}, p.forget(ctx, request.ConnectionId)
	}
	return &api.OnCloseResponse{}, p.lost(ctx, request.ConnectionId)
}

// OnError is called when the connection has failed, or the replica that had it is
// gone.
func (p *presence) OnError(ctx context.Context, request *api.OnErrorRequest) (*api.OnErrorResponse, error) {
	p.logf("the connection of %s has failed: %s", request.ConnectionId, request.Error)
	return &api.OnErrorResponse{}, p.lost(ctx, request.ConnectionId)
}

// lost forgets a connection, and plans another if something plays. The plan has one
// id for each account: many are one.
func (p *presence) lost(ctx context.Context, account string) error {
	if err := p.forget(ctx, account); err != nil {
		return err
	}
	track, err := p.track(ctx, account)
	if err != nil || track == nil {
		return err
	}
	settings, err := p.settings(ctx)
	if err != nil {
		return err
	}
	_, err = p.reconnects.ScheduleOneTime(ctx, &scheduler.ScheduleOneTimeRequest{ScheduleId: account, DelaySeconds: settings.reconnectSeconds})
	return err
}

// forget removes all that belongs to a connection. That nothing is scheduled or
// cached is as good.
func (p *presence) forget(ctx context.Context, account string) error {
	_, err := p.heartbeats.CancelSchedule(ctx, &scheduler.CancelRequest{ScheduleId: account})
	for _, key := range []string{sessionKey(account), sequenceKey(account), unansweredKey(account)} {
		_, failed := p.cache.Remove(ctx, &cache.RemoveRequest{Key: key})
		err = errors.Join(err, failed)
	}
	return err
}

// reconnect is called some time after a connection was lost.
func (p *presence) reconnect(ctx context.Context, request *api.SchedulerCallbackRequest) error {
	account := request.ScheduleId
	settings, err := p.settings(ctx)
	if err != nil {
		return err
	}
	track, err := p.track(ctx, account)
	if err != nil || track == nil {
		return err
	}
	state, err := p.session(ctx, account)
	if err != nil || state != none {
		return err // the next track was faster
	}
	return p.connect(ctx, settings, account)
}

// close closes a connection; OnClose follows.
func (p *presence) close(ctx context.Context, account string, code int32, reason string) error {
	response, err := p.sockets.Close(ctx, &websocket.CloseRequest{ConnectionId: account, Code: code, Reason: reason})
	switch {
	case err != nil:
		return err
	case response.Error == errNoConnection.Error():
		return p.forget(ctx, account)
	case response.Error != "":
		return fmt.Errorf("close the connection of %s: %s", account, response.Error)
	}
	return nil
}
