package http

import (
	"context"
	"log/slog"

	"github.com/pluginhost/pluginhost/hostsvc/internal/egress"
	api "github.com/pluginhost/pluginhost/sdk/api/host/http"
)

// blocked logs a refusal and makes the response for it.
func (s *Service) blocked(ctx context.Context, method, rawURL string, err error) *api.HttpResponse {
	s.warn(ctx, method, rawURL, err)
	if refusal := egress.Refusal(err); refusal != nil { // without the words of net/http around it
		err = refusal
	}
	return &api.HttpResponse{Error: blockedPrefix + err.Error()}
}

func (s *Service) warn(ctx context.Context, method, rawURL string, err error) {
	s.gate.Warn(ctx, "request of plugin blocked", rawURL, err, slog.String("method", method))
}
