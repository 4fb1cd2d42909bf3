// Stateful schedules, holds WebSockets and has an OnInit. What happens to it, it
// tells the journal: the address in its entry "journal", which gets a POST for each
// callback and may answer with commands. A command can also be the name in
// GetArtistBiography.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/config"
	"github.com/pluginhost/pluginhost/sdk/api/host/http"
	"github.com/pluginhost/pluginhost/sdk/api/host/scheduler"
	"github.com/pluginhost/pluginhost/sdk/api/host/websocket"
)

// event is what the journal is told; of a text message, the first 1000 bytes.
type event struct {
	Event     string `json:"event"`
	ID        []byte `json:"id,omitempty"`
	Payload   []byte `json:"payload,omitempty"`
	Recurring bool   `json:"recurring,omitempty"`
	Code      int32  `json:"code,omitempty"`
	Text      string `json:"text,omitempty"`
	// Results are what came of the commands in the answer to another event.
	Results []result `json:"results,omitempty"`
	// Begun is when the guest began with it.
	Begun time.Time `json:"begun"`
}

// command is something to do.
type command struct {
	Do         string            `json:"do"`
	ID         []byte            `json:"id,omitempty"`
	Payload    []byte            `json:"payload,omitempty"`
	Delay      int32             `json:"delay,omitempty"`
	Expression string            `json:"expression,omitempty"`
	URL        string            `json:"url,omitempty"`
	Headers    map[string]string `json:"headers,omitempty"`
	Code       int32             `json:"code,omitempty"`
	Text       string            `json:"text,omitempty"`
}

// result is what came of a command.
type result struct {
	ID    []byte `json:"id,omitempty"`
	OK    bool   `json:"ok"`
	Text  string `json:"text,omitempty"`
	Error string `json:"error,omitempty"`
}

type plugin struct{ api.UnimplementedMetadataAgent }

func main() {}

func init() {
	api.RegisterMetadataAgent(plugin{})
	api.RegisterSchedulerCallback(plugin{})
	api.RegisterWebSocketCallback(plugin{})
	api.RegisterLifecycleManagement(plugin{})
}

func (plugin) GetArtistBiography(ctx context.Context, r *api.ArtistBiographyRequest) (*api.ArtistBiographyResponse, error) {
	var c command
	if err := json.Unmarshal([]byte(r.Name), &c); err != nil {
		return nil, err
	}
	body, err := json.Marshal(do(ctx, c))
	return &api.ArtistBiographyResponse{Biography: string(body)}, err
}

func do(ctx context.Context, c command) result {
	schedules, sockets := scheduler.NewSchedulerService(), websocket.NewWebSocketService()
	switch c.Do {
	case "once":
		r, err := schedules.ScheduleOneTime(ctx, &scheduler.ScheduleOneTimeRequest{DelaySeconds: c.Delay, Payload: c.Payload, ScheduleId: string(c.ID)})
		return result{ID: []byte(r.GetScheduleId()), OK: err == nil, Error: text(err)}
	case "every":
		r, err := schedules.ScheduleRecurring(ctx, &scheduler.ScheduleRecurringRequest{CronExpression: c.Expression, Payload: c.Payload, ScheduleId: string(c.ID)})
		return result{ID: []byte(r.GetScheduleId()), OK: err == nil, Error: text(err)}
	case "cancel":
		r, err := schedules.CancelSchedule(ctx, &scheduler.CancelRequest{ScheduleId: string(c.ID)})
		return result{OK: r.GetSuccess(), Error: r.GetError() + text(err)}
	case "now":
		r, err := schedules.TimeNow(ctx, &scheduler.TimeNowRequest{})
		return result{OK: err == nil, Text: fmt.Sprint(r.GetRfc3339Nano(), " ", r.GetUnixMilli(), " ", r.GetLocalTimeZone()), Error: text(err)}
	case "connect":
		r, err := sockets.Connect(ctx, &websocket.ConnectRequest{Url: c.URL, Headers: c.Headers, ConnectionId: string(c.ID)})
		return result{ID: []byte(r.GetConnectionId()), OK: err == nil && r.GetError() == "", Error: r.GetError() + text(err)}
	case "text":
		r, err := sockets.SendText(ctx, &websocket.SendTextRequest{ConnectionId: string(c.ID), Message: c.Text})
		return result{OK: err == nil && r.GetError() == "", Error: r.GetError() + text(err)}
	case "binary":
		r, err := sockets.SendBinary(ctx, &websocket.SendBinaryRequest{ConnectionId: string(c.ID), Data: c.Payload})
		return result{OK: err == nil && r.GetError() == "", Error: r.GetError() + text(err)}
	case "close":
		r, err := sockets.Close(ctx, &websocket.CloseRequest{ConnectionId: string(c.ID), Code: c.Code, Reason: c.Text})
		return result{OK: err == nil && r.GetError() == "", Error: r.GetError() + text(err)}
	case "get":
		r, err := http.NewHttpService().Get(ctx, &http.HttpRequest{Url: c.URL})
		return result{OK: err == nil && r.GetError() == "", Text: string(r.GetBody()), Error: r.GetError() + text(err)}
	case "tell":
		err := tell(ctx, event{Event: "told", ID: c.ID, Payload: c.Payload})
		return result{OK: err == nil, Error: text(err)}
	default:
		return result{Error: "unknown command " + c.Do}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// tell tells the journal and does what it answers, and then tells what came of it.
// An answer other than 200 is an error, and so is a command that fails.
func tell(ctx context.Context, e event) error {
	e.Begun = time.Now()
	commands, err := post(ctx, e)
	if err != nil || len(commands) == 0 {
		return err
	}
	done := event{Event: "done", ID: e.ID, Begun: time.Now()}
	for _, c := range commands {
		r := do(ctx, c)
		if !r.OK && err == nil {
			err = errors.New(r.Error)
		}
		done.Results = append(done.Results, r)
	}
	if _, failed := post(ctx, done); failed != nil {
		return failed
	}
	return err
}

// refusal is an error that the journal asks for.
type refusal struct{ text string }

func (r refusal) Error() string { return r.text }

func post(ctx context.Context, e event) ([]command, error) {
	settings, err := config.NewConfigService().GetPluginConfig(ctx, &config.GetPluginConfigRequest{})
	if err != nil {
		return nil, err
	}
	journal := settings.Config["journal"]
	if journal == "" {
		return nil, nil
	}
	body, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	answer, err := http.NewHttpService().Post(ctx, &http.HttpRequest{Url: journal, Body: body, TimeoutMs: 50_000})
	switch {
	case err != nil:
		return nil, err
	case answer.Error != "":
		return nil, errors.New(answer.Error)
	case answer.Status == 418:
		return nil, refusal{string(answer.Body)}
	case answer.Status != 200:
		return nil, errors.New(string(answer.Body))
	case len(answer.Body) == 0:
		return nil, nil
	}
	var commands []command
	return commands, json.Unmarshal(answer.Body, &commands)
}

func (plugin) OnInit(ctx context.Context, _ *api.InitRequest) (*api.InitResponse, error) {
	err := tell(ctx, event{Event: "init"})
	if refused := (refusal{}); errors.As(err, &refused) {
		return nil, err
	}
	return &api.InitResponse{Error: text(err)}, nil
}

func (plugin) OnSchedulerCallback(ctx context.Context, r *api.SchedulerCallbackRequest) (*api.SchedulerCallbackResponse, error) {
	err := tell(ctx, event{Event: "fire", ID: []byte(r.ScheduleId), Payload: r.Payload, Recurring: r.IsRecurring})
	if refused := (refusal{}); errors.As(err, &refused) {
		return nil, err
	}
	return &api.SchedulerCallbackResponse{Error: text(err)}, nil
}

func (plugin) OnTextMessage(ctx context.Context, r *api.OnTextMessageRequest) (*api.OnTextMessageResponse, error) {
	return &api.OnTextMessageResponse{}, tell(ctx, event{Event: "text", ID: []byte(r.ConnectionId), Payload: []byte(r.Message[:min(len(r.Message), 1000)])})
}

func (plugin) OnBinaryMessage(ctx context.Context, r *api.OnBinaryMessageRequest) (*api.OnBinaryMessageResponse, error) {
	return &api.OnBinaryMessageResponse{}, tell(ctx, event{Event: "binary", ID: []byte(r.ConnectionId), Payload: r.Data})
}

func (plugin) OnError(ctx context.Context, r *api.OnErrorRequest) (*api.OnErrorResponse, error) {
	return &api.OnErrorResponse{}, tell(ctx, event{Event: "error", ID: []byte(r.ConnectionId), Text: r.Error})
}

func (plugin) OnClose(ctx context.Context, r *api.OnCloseRequest) (*api.OnCloseResponse, error) {
	return &api.OnCloseResponse{}, tell(ctx, event{Event: "close", ID: []byte(r.ConnectionId), Code: r.Code, Text: r.Reason})
}
