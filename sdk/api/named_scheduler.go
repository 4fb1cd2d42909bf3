package api

import (
	"context"
	"strings"

	"github.com/pluginhost/pluginhost/sdk/api/host/scheduler"
)

// nameSeparator stands between the name of a callback and the id of a schedule:
// a zero width space, which no author types by accident.
const nameSeparator = "\u200b"

// namedCallbacks is the plugin's one SchedulerCallback once a named one is
// registered.
type namedCallbacks map[string]SchedulerCallback

var registeredCallbacks = namedCallbacks{}

// RegisterNamedSchedulerCallback registers one of several scheduler callbacks
// of a plugin and returns the service with which to schedule calls of it. The
// host sees schedule ids that begin with name; the plugin sees its own.
//
// It does not go together with RegisterSchedulerCallback: the last registration
// of either kind counts.
func RegisterNamedSchedulerCallback(name string, callback SchedulerCallback) scheduler.SchedulerService {
	registeredCallbacks[name] = callback
	RegisterSchedulerCallback(registeredCallbacks)
	return namedScheduler{name: name, service: scheduler.NewSchedulerService()}
}

// OnSchedulerCallback hands a due schedule to the callback whose name its id
// bears. An unknown name is no error: the callback may belong to an older
// version of the plugin.
func (c namedCallbacks) OnSchedulerCallback(ctx context.Context, request *SchedulerCallbackRequest) (*SchedulerCallbackResponse, error) {
	name, id, _ := strings.Cut(request.ScheduleId, nameSeparator)
	callback, ok := c[name]
	if !ok {
		return nil, nil
	}
	request.ScheduleId = id
	return callback.OnSchedulerCallback(ctx, request)
}

// namedScheduler schedules calls of one named callback.
type namedScheduler struct {
	name    string
	service scheduler.SchedulerService
}

func (s namedScheduler) qualify(id string) string { return s.name + nameSeparator + id }

func (s namedScheduler) ScheduleOneTime(ctx context.Context, request *scheduler.ScheduleOneTimeRequest) (*scheduler.ScheduleResponse, error) {
	response, err := s.service.ScheduleOneTime(ctx, &scheduler.ScheduleOneTimeRequest{
		DelaySeconds: request.DelaySeconds,
		Payload:      request.Payload,
		ScheduleId:   s.qualify(request.ScheduleId),
	})
	return withPlainID(response), err
}

func (s namedScheduler) ScheduleRecurring(ctx context.Context, request *scheduler.ScheduleRecurringRequest) (*scheduler.ScheduleResponse, error) {
	response, err := s.service.ScheduleRecurring(ctx, &scheduler.ScheduleRecurringRequest{
		CronExpression: request.CronExpression,
		Payload:        request.Payload,
		ScheduleId:     s.qualify(request.ScheduleId),
	})
	return withPlainID(response), err
}

func (s namedScheduler) CancelSchedule(ctx context.Context, request *scheduler.CancelRequest) (*scheduler.CancelResponse, error) {
	return s.service.CancelSchedule(ctx, &scheduler.CancelRequest{ScheduleId: s.qualify(request.ScheduleId)})
}

func (s namedScheduler) TimeNow(ctx context.Context, request *scheduler.TimeNowRequest) (*scheduler.TimeNowResponse, error) {
	return s.service.TimeNow(ctx, request)
}

func withPlainID(response *scheduler.ScheduleResponse) *scheduler.ScheduleResponse {
	if response == nil {
		return nil
	}
	if _, id, named := strings.Cut(response.ScheduleId, nameSeparator); named {
		response.ScheduleId = id
	}
	return response
}
