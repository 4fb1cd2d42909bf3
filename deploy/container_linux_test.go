package deploy_test

import (
	"bufio"
	"encoding/json"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

const nobody = 65532

// container is how one of the files starts a replica.
type container struct {
	args        []string
	environment map[string]string
}

// ready is the record of a replica that is up.
type ready struct {
	Msg, HTTP       string
	Plugins, Failed int
}

// run starts the replica as the file says, in a folder that has nothing but what
// the image has and the file mounts, without any rights. The addresses are the
// test's. It returns what the replica said when it was up, and stops it.
func (c container) run(t *testing.T, natsURL string, up func(root string, r ready)) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root may change the root folder of a process")
	}
	root := t.TempDir()
	c.furnish(t, root)
	if c.environment["PLUGINHOST_NATS"] == "" {
		t.Error("without PLUGINHOST_NATS every replica is a NATS server of its own")
	}
	environment := []string{}
	for name, value := range c.environment {
		switch name {
		case "PLUGINHOST_NATS":
			value = natsURL
		case "PLUGINHOST_HTTP":
			value = "127.0.0.1:0"
		}
		environment = append(environment, name+"="+value)
	}
	cmd := &exec.Cmd{Path: c.args[0], Args: c.args, Env: environment, Dir: "/"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	untilReady(t, cmd, func(r ready) { up(root, r) })
}

// untilReady runs a replica until it is up, and then has it leave.
func untilReady(t *testing.T, cmd *exec.Cmd, up func(ready)) {
	t.Helper()
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	killer := time.AfterFunc(wait, func() { _ = cmd.Process.Kill() })
	defer killer.Stop()
	found, log := false, ""
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		log += lines.Text() + "\n"
		var r ready
		if json.Unmarshal(lines.Bytes(), &r) == nil && r.Msg == "ready" {
			found = true
			up(r)
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Error(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil || !found {
		t.Errorf("%v\n%s", err, log)
	}
}

// furnish makes what the container has: a plugin among it.
func (c container) furnish(t *testing.T, root string) {
	t.Helper()
	folder := programs(t)
	for _, name := range []string{"pluginhost", "healthcheck"} {
		copyFile(t, filepath.Join(folder, name), filepath.Join(root, "usr/local/bin", name), 0o755)
	}
	if file := c.environment["PLUGINHOST_CONFIG"]; file != "" {
		copyFile(t, filepath.Join(guests.Root(), "deploy/config/pluginhost.toml"), filepath.Join(root, file), 0o644)
	}
	plugins := filepath.Join(root, c.environment["PLUGINHOST_PLUGINS"])
	data := filepath.Join(root, c.environment["PLUGINHOST_DATA"])
	for _, dir := range []string{plugins, data} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	testenv.AddPlugin(t, plugins, "echo", testenv.Manifest(nil, plugin.MetadataAgent), guests.Handmade{Body: guests.Echo}.Bytes())
	err := filepath.WalkDir(plugins, func(path string, entry fs.DirEntry, err error) error {
		if err == nil {
			mode := fs.FileMode(0o444)
			if entry.IsDir() {
				mode = 0o555
			}
			err = os.Chmod(path, mode)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(data, nobody, nobody); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string, mode fs.FileMode) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o755)
	}
	if err == nil {
		err = os.WriteFile(to, content, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// works runs it on a server with the deployed users and checks that it serves the
// plugin and that what looks after it finds it healthy. health are the arguments of
// a command that does, if there is one.
func (c container) works(t *testing.T, health []string) {
	t.Helper()
	as := testenv.DeployedNATS(t)
	urls := strings.Split(c.environment["PLUGINHOST_NATS"], ",")
	for _, text := range urls {
		u, err := url.Parse(text)
		if err != nil || u.User.Username() != "host" || u.Port() != "4222" {
			t.Errorf("%s is no URL of the user host", text)
		}
		if password, _ := u.User.Password(); len(password) < 32 {
			t.Errorf("the password of %s is not that of the secrets", text)
		}
	}
	if len(urls) != 3 {
		t.Errorf("got %d NATS servers", len(urls))
	}
	c.run(t, as("host"), func(root string, r ready) {
		if r.Plugins != 1 || r.Failed != 0 {
			t.Errorf("got %+v", r)
		}
		for _, path := range []string{"/livez", "/readyz"} {
			check := []string{"/usr/local/bin/healthcheck", "http://" + r.HTTP + path}
			if len(health) > 0 {
				u, err := url.Parse(health[len(health)-1])
				if err != nil || u.Hostname() != "127.0.0.1" || u.Path != "/readyz" || !strings.HasSuffix(c.environment["PLUGINHOST_HTTP"], ":"+u.Port()) {
					t.Fatalf("health is asked at %v", u)
				}
				u.Host = r.HTTP
				check = append(append([]string{}, health[:len(health)-1]...), u.String())
			}
			cmd := &exec.Cmd{Path: check[0], Args: check, Env: []string{}, Dir: "/"}
			cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			if said, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %v %s", check, err, said)
			}
		}
		gatewayWorks(t, as("operator"), r.HTTP)
	})
}

func TestImageWorksInAnEmptyFolder(t *testing.T) {
	environment := imageEnvironment(t)
	environment["PLUGINHOST_NATS"] = strings.Repeat(",nats://host:"+strings.Repeat("p", 49)+"@n1:4222", 3)[1:]
	c := container{args: append(words(t, "ENTRYPOINT"), words(t, "CMD")...), environment: environment}
	_, health, _ := strings.Cut(find(t, "HEALTHCHECK", ""), "CMD ")
	var check []string
	if err := json.Unmarshal([]byte(health), &check); err != nil {
		t.Fatal(err)
	}
	c.works(t, check)
	if _, port, err := net.SplitHostPort(environment["PLUGINHOST_HTTP"]); err != nil || find(t, "EXPOSE", "") != port || !strings.Contains(health, ":"+port+"/") {
		t.Errorf("the port %s is not the one that is exposed and asked: %v", port, err)
	}
	if find(t, "VOLUME", "") != environment["PLUGINHOST_DATA"] {
		t.Error("the data folder is no volume")
	}
}

func TestHealthcheckFailsWhereNobodyIsWell(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	healthcheck := filepath.Join(programs(t), "healthcheck")
	for _, args := range [][]string{{}, {"http://" + address}, {"http://" + address, "x"}} {
		if err := exec.CommandContext(t.Context(), healthcheck, args...).Run(); err == nil {
			t.Errorf("%v: well", args)
		}
	}
}
