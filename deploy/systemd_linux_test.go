package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// unit is what a file of systemd sets: the values of each key, in their order.
func unit(t *testing.T, name string) map[string][]string {
	t.Helper()
	values := make(map[string][]string)
	for line := range strings.Lines(read(t, "systemd", name)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			values[key] = append(values[key], value)
		}
	}
	return values
}

// machines are the folders that make-env.sh writes for three machines.
func machines(t *testing.T) (folder string, names []string) {
	t.Helper()
	file, _ := secrets(t)
	folder, names = t.TempDir(), []string{"n1.example.com", "n2.example.com", "192.0.2.3"}
	if err := script(t, append([]string{"systemd/make-env.sh", file, folder}, names...)...); err != nil {
		t.Fatal(err)
	}
	return folder, names
}

func TestUnitStartsAReplica(t *testing.T) {
	folder, names := machines(t)
	service := unit(t, "pluginhost.service")
	environment := variables(t, filepath.Join(folder, names[0], "pluginhost.env"))
	for _, assignment := range service["Environment"] {
		name, value, _ := strings.Cut(assignment, "=")
		environment[name] = value
	}
	if want := "/var/lib/" + service["StateDirectory"][0]; environment["PLUGINHOST_DATA"] != want {
		t.Errorf("its data is in %s, and it may write in %s", environment["PLUGINHOST_DATA"], want)
	}
	container{args: strings.Fields(service["ExecStart"][0]), environment: environment}.works(t, nil)
	if families := strings.Fields(service["RestrictAddressFamilies"][0]); !slices.Contains(families, "AF_NETLINK") {
		t.Errorf("it may use %q, and cannot tell which addresses are the machine's", families)
	}
	if stop, err := time.ParseDuration(service["TimeoutStopSec"][0] + "s"); err != nil || stop <= longestDrain(t) {
		t.Errorf("it gets %v to leave", stop)
	}
	checkMemory(t, service["MemoryMax"][0]+"iB")
	for _, limit := range service["StateDirectoryQuota"] {
		checkVolume(t, limit+"iB")
	}
}

func TestUnitsConfigureAClusterOfNATSServers(t *testing.T) {
	folder, names := machines(t)
	service := unit(t, "nats.service")
	var options *server.Options
	for _, name := range names {
		var err error
		if options, err = configure(t, variables(t, filepath.Join(folder, name, "nats.env"))); err != nil {
			t.Fatal(err)
		}
		if options.ServerName != name || len(options.Routes) != 3 {
			t.Errorf("%s is %s with routes %v", name, options.ServerName, options.Routes)
		}
		for i, route := range options.Routes {
			if route.Host != names[i]+":6222" || options.Cluster.Port != 6222 {
				t.Errorf("%s is no route to %s", route, names[i])
			}
		}
		if info, err := os.Stat(filepath.Join(folder, name, "nats.env")); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("others can read it: %v, %v", info, err)
		}
	}
	if want := "/var/lib/" + service["StateDirectory"][0]; options.StoreDir != want {
		t.Errorf("it keeps data in %s, and may write in %s", options.StoreDir, want)
	}
	if stop, err := time.ParseDuration(service["TimeoutStopSec"][0] + "s"); err != nil || stop <= options.LameDuckDuration+options.LameDuckGracePeriod {
		t.Errorf("it gets %v to hand over", stop)
	}
}

func TestUnitsAreUnderstoodAndHardened(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze here")
	}
	for _, name := range []string{"pluginhost.service", "nats.service"} {
		// Programs that are not installed here are a fault, too.
		text := strings.Replace(read(t, "systemd", name), "ExecStart=/usr/local/bin/", "ExecStart=/bin/true ", 1)
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", file).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		// In tenths; 10 is the most exposed.
		if out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--threshold=20", file).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
