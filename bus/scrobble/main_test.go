package scrobble_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// wait is how long something may take that happens in an instant.
const wait = 20 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
