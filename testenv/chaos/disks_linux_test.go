package main

import (
	"testing"

	"github.com/pluginhost/pluginhost/testenv"
)

func TestNothingIsLostWhenTheDiskOfANATSServerIsFull(t *testing.T) {
	if err := testenv.CanMountSmallDisk(); err != nil {
		t.Skipf("a small file system cannot be mounted by this user: %v", err)
	}
	report, err := testenv.Chaos(t, "-seed", "1", "-leaders", "0", "-others", "2", "-kinds", fullDisk, "-controls", "0", "-punctual=false")
	if err != nil {
		t.Errorf("%v\n%s", err, report)
	}
}
