package packagestore_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/pluginhost/pluginhost/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testenv.LatePublisher()) }
