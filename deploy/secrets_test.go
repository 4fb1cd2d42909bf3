package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/pluginhost/pluginhost/testenv/guests"
)

// script runs one of this folder.
func script(t *testing.T, args ...string) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", append([]string{filepath.Join(guests.Root(), "deploy", args[0])}, args[1:]...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	if len(out) > 0 {
		t.Logf("%s", out)
	}
	return err
}

// secrets are what make-secrets.sh writes.
func secrets(t *testing.T) (file string, values map[string]string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "secrets.env")
	if err := script(t, "make-secrets.sh", file); err != nil {
		t.Fatal(err)
	}
	return file, variables(t, file)
}

// variables are those that a file sets, as systemd and sh read it.
func variables(t *testing.T, file string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]string)
	for line := range strings.Lines(string(content)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[name] = strings.Trim(value, "'")
	}
	return values
}

// configure has the NATS server read its file with these variables and no other.
func configure(t *testing.T, values map[string]string) (*server.Options, error) {
	t.Helper()
	for _, line := range os.Environ() {
		if name, value, _ := strings.Cut(line, "="); strings.HasPrefix(name, "NATS_") {
			t.Setenv(name, value) // restored after the test
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, value := range values {
		t.Setenv(name, value)
	}
	return server.ProcessConfigFile(filepath.Join(guests.Root(), "deploy", "nats", "nats.conf"))
}

func TestSecretsAreRandomAndStay(t *testing.T) {
	file, first := secrets(t)
	_, second := secrets(t)
	seen := make(map[string]bool)
	for _, values := range []map[string]string{first, second} {
		for name, value := range values {
			if !regexp.MustCompile(`^p[0-9a-f]{48}$`).MatchString(value) || seen[value] {
				t.Errorf("%s is %q", name, value)
			}
			seen[value] = true
		}
	}
	if len(seen) != 10 {
		t.Errorf("%d secrets in two files", len(seen))
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others can read it: %v, %v", info, err)
	}
	if err := script(t, "make-secrets.sh", file); err != nil {
		t.Errorf("run again, it fails: %v", err)
	}
	if again := variables(t, file); again["NATS_HOST_PASSWORD"] != first["NATS_HOST_PASSWORD"] {
		t.Error("the secrets have changed")
	}
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestFileThatLacksASecretIsNotTakenForOneThatHasAll(t *testing.T) {
	for name, content := range map[string]string{"one is missing": "NATS_HOST_PASSWORD=p1\n", "something else": "mine\n"} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "secrets.env")
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := script(t, "make-secrets.sh", file); err == nil {
				t.Error("nobody is told")
			}
			if left, err := os.ReadFile(file); err != nil || string(left) != content {
				t.Errorf("the file is %q now: %v", left, err)
			}
		})
	}
}

func TestServerDoesNotStartWithoutASecret(t *testing.T) {
	_, values := secrets(t)
	values["NATS_SERVER_NAME"], values["NATS_ROUTES"] = "n1", "[]"
	if _, err := configure(t, values); err != nil {
		t.Fatal(err)
	}
	for name := range values {
		t.Run(name, func(t *testing.T) {
			rest := make(map[string]string)
			for other, value := range values {
				if other != name {
					rest[other] = value
				}
			}
			if _, err := configure(t, rest); err == nil {
				t.Error("it has a default")
			}
		})
	}
}
