package subsonicapi

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"

	"github.com/pluginhost/pluginhost/sdk/excerpt"
)

// maxBegin is how much of an answer is looked at, in bytes.
const maxBegin = 4 << 10

// lateError is that Navidrome has not answered in time. Its text is for the plugin.
type lateError struct {
	text  string
	cause error // for the operator
}

func (e *lateError) Error() string { return e.text }

// look logs an answer that Navidrome does not give, such as the page of a proxy.
func (s *Service) look(ctx context.Context, endpoint string, body []byte) {
	if isNavidromes(body) || !s.warnings.Allow() {
		return
	}
	s.config.Logger.LogAttrs(ctx, slog.LevelWarn, "an answer to a plugin is not that of a Subsonic API",
		slog.String("plugin", s.config.PluginID), slog.String("endpoint", endpoint), slog.Int("bytes", len(body)), slog.String("answer", excerpt.Of(body)))
}

// isNavidromes says whether a body can be what a Subsonic API answers: the JSON that was
// asked for, or the bytes of an image or a song.
func isNavidromes(body []byte) bool {
	if !strings.HasPrefix(http.DetectContentType(body), "text/") {
		return true
	}
	tokens := json.NewDecoder(bytes.NewReader(body[:min(len(body), maxBegin)]))
	if first, err := tokens.Token(); err != nil || first != json.Delim('{') {
		return false
	}
	key, err := tokens.Token()
	return err == nil && key == "subsonic-response"
}
