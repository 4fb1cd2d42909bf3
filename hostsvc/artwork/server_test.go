package artwork_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/hostsvc/artwork"
)

func TestAnAddressThatCannotBeUsedIsAnError(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	server, err := artwork.Listen("127.0.0.1:0", http.NotFoundHandler(), log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Stop(t.Context()) }()
	for _, address := range []string{server.Address(), "127.0.0.1", "127.0.0.1:http-nonsense"} {
		second, err := artwork.Listen(address, http.NotFoundHandler(), log)
		if err == nil {
			_ = second.Stop(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), "[Navidrome] ArtworkListen") {
			t.Errorf("%s: got %v", address, err)
		}
	}
}
