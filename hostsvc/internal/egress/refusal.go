package egress

import (
	"context"
	"errors"
	"log/slog"
	"net/url"

	"github.com/pluginhost/pluginhost/hostsvc/netguard"
)

// A plugin that asks again and again must not fill the log.
const (
	warningsPerSecond = 1
	warningsAtOnce    = 10
)

// maxLoggedURL is how much of a URL goes into a log line, in bytes.
const maxLoggedURL = 200

// maxLoggedError is how much of an error, which may repeat what a server sent, goes into a log
// line, in bytes.
const maxLoggedError = 500

// Warn logs that a request was refused with err, unless too many were of late.
func (g *Gate) Warn(ctx context.Context, message, rawURL string, err error, attrs ...slog.Attr) {
	if !g.warnings.Allow() {
		return
	}
	line := g.line(rawURL, attrs)
	if refusal := Refusal(err); refusal != nil {
		line = append(line, slog.String("reason", refusal.Kind.Error()))
		if refusal.Addr.IsValid() {
			line = append(line, slog.String("address", refusal.Addr.String()))
		}
		if refusal.Cause != nil {
			line = append(line, slog.String("cause", refusal.Cause.Error()))
		}
	}
	g.config.Logger.LogAttrs(ctx, slog.LevelWarn, message, line...)
}

// Failed logs that a request which was let through got no answer, unless too many were of late. What
// net/http writes around the cause repeats the URL with its secrets, and is left out.
func (g *Gate) Failed(ctx context.Context, message, rawURL string, err error, attrs ...slog.Attr) {
	if !g.failures.Allow() {
		return
	}
	var around *url.Error
	for errors.As(err, &around) {
		err = around.Err
	}
	text := err.Error()
	if len(text) > maxLoggedError {
		text = text[:maxLoggedError] + "…"
	}
	g.config.Logger.LogAttrs(ctx, slog.LevelWarn, message, append(g.line(rawURL, attrs), slog.String("error", text))...)
}

func (g *Gate) line(rawURL string, attrs []slog.Attr) []slog.Attr {
	line := append([]slog.Attr{slog.String("plugin", g.config.PluginID)}, attrs...)
	return append(line, slog.String("url", loggedURL(rawURL)))
}

// Refusal returns the refusal that err is or wraps, and nil where it is another error.
func Refusal(err error) *netguard.BlockedError {
	var refusal *netguard.BlockedError
	if errors.As(err, &refusal) {
		return refusal
	}
	return nil
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
