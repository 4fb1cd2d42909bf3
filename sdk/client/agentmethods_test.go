package client

import (
	"bytes"
	"errors"
	"testing"

	"github.com/pluginhost/pluginhost/sdk/api/schema"
)

func TestAResponseThatWouldTakeMuchMemoryIsNotDecoded(t *testing.T) {
	for method := range agentMethods {
		if _, err := acceptable(method, bytes.Repeat([]byte{0x0a, 0x00}, 500_000)); !errors.Is(err, schema.ErrManyValues) {
			t.Errorf("%s: got %v", method, err)
		}
		if _, err := acceptable(method, bytes.Repeat([]byte{0x0a, 0x00}, 1000)); err != nil {
			t.Errorf("%s, few: got %v", method, err)
		}
	}
}
