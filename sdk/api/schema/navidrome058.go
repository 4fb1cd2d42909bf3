package schema

import (
	"fmt"
	"sync"

	"github.com/pluginhost/pluginhost/sdk/api"
)

var navidrome058 = sync.OnceValue(newNavidrome058)

// Navidrome058 is the contract of Navidrome 0.58, in protobuf: that of package api.
func Navidrome058() *Contract { return navidrome058() }

func newNavidrome058() *Contract {
	c := &Contract{encode: encodeNavidrome058}
	c.read(descriptorSet, map[string]Kind{
		"SchedulerCallback":   KindCallback,
		"WebSocketCallback":   KindCallback,
		"LifecycleManagement": KindLifecycle,
	})
	return c
}

func encodeNavidrome058(event Event) (encoded, error) {
	switch event := event.(type) {
	case Init:
		return encoded{"on_init", &api.InitRequest{Config: event.Config}, new(api.InitResponse)}, nil
	case Fire:
		request := &api.SchedulerCallbackRequest{ScheduleId: event.Schedule, Payload: event.Payload, IsRecurring: event.Recurring}
		return encoded{"on_scheduler_callback", request, new(api.SchedulerCallbackResponse)}, nil
	case TextMessage:
		request := &api.OnTextMessageRequest{ConnectionId: event.Connection, Message: event.Text}
		return encoded{"on_text_message", request, new(api.OnTextMessageResponse)}, nil
	case BinaryMessage:
		request := &api.OnBinaryMessageRequest{ConnectionId: event.Connection, Data: event.Data}
		return encoded{"on_binary_message", request, new(api.OnBinaryMessageResponse)}, nil
	case ConnectionError:
		request := &api.OnErrorRequest{ConnectionId: event.Connection, Error: event.Text}
		return encoded{"on_error", request, new(api.OnErrorResponse)}, nil
	case ConnectionClose:
		request := &api.OnCloseRequest{ConnectionId: event.Connection, Code: int32(event.Code), Reason: event.Reason}
		return encoded{"on_close", request, new(api.OnCloseResponse)}, nil
	case Authorization:
		request := &api.ScrobblerIsAuthorizedRequest{UserId: event.UserID, Username: event.Username}
		return encoded{"is_authorized", request, new(api.ScrobblerIsAuthorizedResponse)}, nil
	case Play:
		request := new(api.ScrobblerScrobbleRequest)
		if err := request.UnmarshalVT(event.Request); err != nil {
			return encoded{method: "scrobble"}, err
		}
		return encoded{"scrobble", request, new(api.ScrobblerScrobbleResponse)}, nil
	default:
		return encoded{}, fmt.Errorf("the contract has no callback for %T", event)
	}
}
