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

// refuse makes the error of a call that may not be made, and logs it. The hint, if
// any, is for the operator alone.
func (s *Service) refuse(ctx context.Context, user, hint, format string, arguments ...any) error {
	reason := fmt.Sprintf(format, arguments...)
	if s.warnings.Allow() {
		attrs := []slog.Attr{slog.String("plugin", s.config.PluginID), slog.String("user", user), slog.String("reason", reason)}
		if hint != "" {
			attrs = append(attrs, slog.String("hint", hint))
		}
		s.config.Logger.LogAttrs(ctx, slog.LevelWarn, "Subsonic call of plugin blocked", attrs...)
	}
	return errors.New(reason)
}

// report logs why Navidrome did not answer.
func (s *Service) report(ctx context.Context, err error) {
	if errors.Is(err, navidrome.ErrUnavailable) && s.warnings.Allow() {
		s.config.Logger.LogAttrs(ctx, slog.LevelWarn, "Subsonic call of plugin failed", slog.String("plugin", s.config.PluginID), slog.Any("error", err))
	}
}
