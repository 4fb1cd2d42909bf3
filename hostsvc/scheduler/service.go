// Package scheduler is the host service that plans callbacks of a plugin,
// for all replicas, and over their restarts.
package scheduler

import (
	"context"

	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/time/rate"

	"github.com/pluginhost/pluginhost/hostsvc/internal/nanoid"
	api "github.com/pluginhost/pluginhost/sdk/api/host/scheduler"
)

// Schedule is what a plugin has planned under an id.
type Schedule struct {
	// ID is any bytes, never empty.
	ID string
	// IsMade says that the plugin gave no id, and the Service made this one.
	IsMade bool
	// Created is now.
	Created time.Time
	// Due is when a one-time schedule fires; zero for a recurring one.
	Due time.Time
	// Expression is that of a Timetable, in the time zone Zone unless it names one.
	Expression, Zone string
	Payload          []byte
}

// Store keeps the schedules of one plugin and has them fire. It is safe for
// concurrent use.
type Store interface {
	// Set sets a schedule, in the place of what is set under its id.
	Set(ctx context.Context, schedule Schedule) error
	// Cancel removes a schedule and says whether there was one.
	Cancel(ctx context.Context, id string) (bool, error)
}

// Config is the configuration of a Service.
type Config struct {
	// PluginID is the plugin that the service is for; it is in every log line.
	PluginID string
	// Store keeps the schedules.
	Store Store
	// Zone is the IANA name of the time zone of schedules that name none, and of
	// TimeNow.
	Zone string
	// MaxPayload is the longest payload, in bytes.
	MaxPayload int64
	// Logger gets a warning for each schedule that was refused. Defaults to
	// slog.Default().
	Logger *slog.Logger
	// Now is the clock of schedules and of TimeNow. Defaults to time.Now.
	Now func() time.Time
}

// Service plans the callbacks of one plugin. The response to a new schedule has no
// place for a failure, so there it is a Go error. It has nothing to close and is
// safe for concurrent use.
type Service struct {
	config   Config
	zone     *time.Location
	warnings *rate.Limiter
}

var _ api.SchedulerService = (*Service)(nil)

// New makes a service. It fails for a time zone that is not known.
func New(config Config) (*Service, error) {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	zone, err := LoadZone(config.Zone)
	if err != nil {
		return nil, err
	}
	return &Service{config: config, zone: zone, warnings: rate.NewLimiter(1, 10)}, nil
}

// ScheduleOneTime plans one callback; a delay of 0 or less is at once.
func (s *Service) ScheduleOneTime(ctx context.Context, r *api.ScheduleOneTimeRequest) (*api.ScheduleResponse, error) {
	now := s.config.Now()
	return s.set(ctx, "one-time", Schedule{
		ID:      r.GetScheduleId(),
		Created: now,
		Due:     now.Add(time.Duration(max(r.GetDelaySeconds(), 0)) * time.Second),
		Payload: r.GetPayload(),
	})
}

// ScheduleRecurring plans callbacks by a cron expression, which ParseTimetable
// describes.
func (s *Service) ScheduleRecurring(ctx context.Context, r *api.ScheduleRecurringRequest) (*api.ScheduleResponse, error) {
	timetable, err := ParseTimetable(r.GetCronExpression(), s.config.Zone)
	isShort := false
	if err == nil {
		isShort, err = timetable.check()
	}
	if err != nil {
		return nil, s.refused("recurring", err)
	}
	if isShort && s.warnings.Allow() {
		s.config.Logger.Warn("a schedule's period is below a second: it runs every second", "plugin", s.config.PluginID, "period", *timetable.period)
	}
	return s.set(ctx, "recurring", Schedule{
		ID:         r.GetScheduleId(),
		Created:    s.config.Now(),
		Expression: r.GetCronExpression(),
		Zone:       s.config.Zone,
		Payload:    r.GetPayload(),
	})
}

func (s *Service) set(ctx context.Context, kind string, schedule Schedule) (*api.ScheduleResponse, error) {
	if schedule.ID == "" {
		schedule.ID, schedule.IsMade = nanoid.New(), true
	}
	err := s.check(schedule)
	if err == nil {
		err = s.config.Store.Set(ctx, schedule)
	}
	if err != nil {
		return nil, s.refused(kind, err)
	}
	return &api.ScheduleResponse{ScheduleId: schedule.ID}, nil
}

// check bounds what a plugin has us keep.
func (s *Service) check(schedule Schedule) error {
	switch {
	case len(schedule.ID) > nanoid.MaxGiven:
		return fmt.Errorf("its id has %d bytes, at most %d are taken", len(schedule.ID), nanoid.MaxGiven)
	case int64(len(schedule.Payload)) > s.config.MaxPayload:
		return fmt.Errorf("its payload has %d bytes, [Scheduler] MaxPayload is %d", len(schedule.Payload), s.config.MaxPayload)
	}
	return nil
}

func (s *Service) refused(kind string, err error) error {
	err = fmt.Errorf("failed to schedule %s job: %w", kind, err)
	if s.warnings.Allow() && !errors.Is(err, context.Canceled) {
		s.config.Logger.Warn("schedule refused", "plugin", s.config.PluginID, "error", err)
	}
	return err
}

// notFound is what a plugin is told of an id that no schedule has.
const notFound = "schedule not found"

// CancelSchedule removes a schedule of either kind. Its Go error is always nil.
func (s *Service) CancelSchedule(ctx context.Context, r *api.CancelRequest) (*api.CancelResponse, error) {
	response := &api.CancelResponse{}
	if len(r.GetScheduleId()) > nanoid.MaxGiven {
		response.Error = notFound
		return response, nil
	}
	found, err := s.config.Store.Cancel(ctx, r.GetScheduleId())
	switch {
	case err != nil:
		response.Error = err.Error()
	case !found:
		response.Error = notFound
	default:
		response.Success = true
	}
	return response, nil
}

// TimeNow is the time of the host, in its time zone. Its Go error is always nil.
func (s *Service) TimeNow(context.Context, *api.TimeNowRequest) (*api.TimeNowResponse, error) {
	now := s.config.Now().In(s.zone)
	return &api.TimeNowResponse{
		Rfc3339Nano:   now.Format(time.RFC3339Nano),
		UnixMilli:     now.UnixMilli(),
		LocalTimeZone: s.zone.String(),
	}, nil
}
