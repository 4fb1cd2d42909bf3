package subsonicapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/pluginhost/pluginhost/hostsvc/navidrome"
)

// A plugin that asks again and again must not fill the log.
const (
	warningsPerSecond = 1
	warningsAtOnce    = 10
)

// refusalError is the error of a call that may not be made, or is none. Its text is for the
// plugin.
type refusalError struct {
	error
	user string // "" where it is not known
	hint string // for the operator alone; may be ""
}

// Unwrap implements the interface of package errors.
func (r *refusalError) Unwrap() error { return r.error }

func refused(user string, err error) error { return &refusalError{error: err, user: user} }

func refuse(user, format string, arguments ...any) error {
	return refused(user, fmt.Errorf(format, arguments...))
}

// report logs why a call has no answer.
func (s *Service) report(ctx context.Context, err error) {
	if errors.Is(ctx.Err(), context.Canceled) || !s.warnings.Allow() {
		return // nobody waits for it any more: that is nobody's fault
	}
	var blocked *refusalError
	if !errors.As(err, &blocked) {
		attrs := []slog.Attr{slog.String("plugin", s.config.PluginID), slog.String("error", bounded(err.Error()))}
		var late *lateError
		if errors.As(err, &late) && late.cause != nil {
			attrs = append(attrs, slog.String("cause", bounded(late.cause.Error())))
		}
		s.config.Logger.LogAttrs(ctx, slog.LevelWarn, "Subsonic call of plugin failed", attrs...)
		return
	}
	attrs := []slog.Attr{slog.String("plugin", s.config.PluginID), slog.String("reason", errorText(err))}
	if blocked.user != "" {
		attrs = append(attrs, slog.String("user", blocked.user))
	}
	if blocked.hint != "" {
		attrs = append(attrs, slog.String("hint", blocked.hint))
	}
	s.config.Logger.LogAttrs(ctx, slog.LevelWarn, "Subsonic call of plugin blocked", attrs...)
}

// errorText is what the plugin sees of an error. Where Navidrome is, is told to
// the operator alone.
func errorText(err error) string { return bounded(navidrome.Brief(err)) }
