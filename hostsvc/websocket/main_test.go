package websocket_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// All tests run with a proxy in the environment that nobody listens on: a service
// that used it would reach no server at all.
func TestMain(m *testing.M) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"} {
		if err := os.Setenv(name, "http://127.0.0.1:1"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	goleak.VerifyTestMain(m)
}
