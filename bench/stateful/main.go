// Command stateful is the plugin that the benchmarks call back: a schedule that
// fires has it do nothing, and a message of its connection it sends back.
package main

import (
	"context"
	"errors"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/websocket"
)

func init() {
	api.RegisterLifecycleManagement(plugin{})
	api.RegisterSchedulerCallback(plugin{})
	api.RegisterWebSocketCallback(plugin{})
}

func main() {} // never runs

type plugin struct{}

var sockets = websocket.NewWebSocketService()

// OnInit connects to the address in its configuration, if there is one.
func (plugin) OnInit(ctx context.Context, request *api.InitRequest) (*api.InitResponse, error) {
	if request.Config["url"] == "" {
		return &api.InitResponse{}, nil
	}
	response, err := sockets.Connect(ctx, &websocket.ConnectRequest{Url: request.Config["url"], ConnectionId: "bench"})
	if err != nil {
		return nil, err
	}
	return &api.InitResponse{Error: response.Error}, nil
}

func (plugin) OnSchedulerCallback(context.Context, *api.SchedulerCallbackRequest) (*api.SchedulerCallbackResponse, error) {
	return &api.SchedulerCallbackResponse{}, nil
}

func (plugin) OnTextMessage(ctx context.Context, request *api.OnTextMessageRequest) (*api.OnTextMessageResponse, error) {
	response, err := sockets.SendText(ctx, &websocket.SendTextRequest{ConnectionId: request.ConnectionId, Message: request.Message})
	if err == nil && response.Error != "" {
		err = errors.New(response.Error)
	}
	return &api.OnTextMessageResponse{}, err
}

func (plugin) OnBinaryMessage(context.Context, *api.OnBinaryMessageRequest) (*api.OnBinaryMessageResponse, error) {
	return &api.OnBinaryMessageResponse{}, nil
}

func (plugin) OnError(context.Context, *api.OnErrorRequest) (*api.OnErrorResponse, error) {
	return &api.OnErrorResponse{}, nil
}

func (plugin) OnClose(context.Context, *api.OnCloseRequest) (*api.OnCloseResponse, error) {
	return &api.OnCloseResponse{}, nil
}
