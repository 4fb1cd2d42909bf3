package netguard_test

import (
	"errors"
	"net/netip"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pluginhost/pluginhost/hostsvc/netguard"
)

// The machine is a network namespace of the test's own.
func TestAddressesThatTheMachineGetsLaterAreItsOwn(t *testing.T) {
	runtime.LockOSThread() // never unlocked: the thread ends with the test, and the namespace with it
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skip("no network namespace can be made:", err)
	}
	ip := func(arguments ...string) {
		t.Helper()
		command := exec.CommandContext(t.Context(), "ip", arguments...)
		if output, err := command.CombinedOutput(); err != nil {
			t.Skipf("%v: %v: %s", command.Args, err, output)
		}
	}
	ip("link", "set", "lo", "up")
	guard := newGuard(t, netguard.GuardConfig{
		AllowLocalNetwork: true,
		Denied:            []netguard.Endpoint{{Name: "Navidrome", Host: "127.0.0.1", Port: 4533}},
	})
	for _, test := range []struct {
		what, at string
		change   []string
	}{
		{"an address of an interface", "198.18.7.7:4533", []string{"addr", "add", "198.18.7.7/24", "dev", "lo"}},
		{"another address of a network", "198.18.7.8:4533", []string{"addr", "add", "198.18.7.8/24", "dev", "lo"}},
		{"an IPv6 address of an interface", "[fd00:7::7]:4533", []string{"addr", "add", "fd00:7::7/128", "dev", "lo", "nodad"}},
		{"an address that is routed to the machine", "198.18.9.9:4533", []string{"route", "add", "local", "198.18.9.0/24", "dev", "lo"}},
	} {
		if err := guard.Control(t.Context(), "tcp", test.at, nil); err != nil {
			t.Errorf("%s, before: %v", test.what, err)
		}
		ip(test.change...)
		if err := guard.Control(t.Context(), "tcp", test.at, nil); !errors.Is(err, netguard.ErrDenied) {
			t.Errorf("%s: got %v, want ErrDenied", test.what, err)
		}
		if _, untold := netguard.IsHere(t.Context(), netip.MustParseAddrPort(test.at).Addr()); !untold {
			t.Errorf("%s: not known where the system does not tell its interfaces", test.what)
		}
	}
}
