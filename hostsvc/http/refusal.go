package http

import (
	"context"
	"errors"
	"log/slog"
	"net/url"

	api "github.com/pluginhost/pluginhost/api/host/http"
	"github.com/pluginhost/pluginhost/hostsvc/netguard"
)

// A plugin that asks again and again must not fill the log.
const (
	warningsPerSecond = 1
	warningsAtOnce    = 10
)

// maxLoggedURL is how much of a URL goes into a log line, in bytes.
const maxLoggedURL = 200

// blocked logs a refusal and makes the response for it.
func (s *Service) blocked(ctx context.Context, method, rawURL string, err error) *api.HttpResponse {
	s.warn(ctx, method, rawURL, err)
	var refusal *netguard.BlockedError
	if errors.As(err, &refusal) { // without the words of net/http around it
		err = refusal
	}
	return &api.HttpResponse{Error: blockedPrefix + err.Error()}
}

func (s *Service) warn(ctx context.Context, method, rawURL string, err error) {
	if !s.warnings.Allow() {
		return
	}
	attrs := []slog.Attr{
		slog.String("plugin", s.config.PluginID),
		slog.String("method", method),
		slog.String("url", loggedURL(rawURL)),
	}
	var refusal *netguard.BlockedError
	if errors.As(err, &refusal) {
		attrs = append(attrs, slog.String("reason", refusal.Kind.Error()))
		if refusal.Addr.IsValid() {
			attrs = append(attrs, slog.String("address", refusal.Addr.String()))
		}
		if refusal.Cause != nil {
			attrs = append(attrs, slog.String("cause", refusal.Cause.Error()))
		}
	}
	s.config.Logger.LogAttrs(ctx, slog.LevelWarn, "request of plugin blocked", attrs...)
}

// loggedURL leaves out what may be secret: user information and query.
func loggedURL(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "(not a URL)"
	}
	shown := (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
	if len(shown) > maxLoggedURL {
		shown = shown[:maxLoggedURL] + "…"
	}
	return shown
}
