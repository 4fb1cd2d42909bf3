package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/pluginhost/pluginhost/config"
)

// configCase is one start of the program: a file in the working directory, variables and arguments.
type configCase struct {
	file string // content of pluginhost.toml; empty for none
	env  map[string]string
	args []string
}

// enter moves the test to an empty working directory with the file, and returns flags and environment.
func (c configCase) enter(t *testing.T, add ...func(*pflag.FlagSet)) (*pflag.FlagSet, func(string) (string, bool)) {
	t.Helper()
	t.Chdir(t.TempDir())
	if c.file != "" {
		writeFile(t, config.DefaultFile, c.file)
	}
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	for _, register := range add {
		register(flags)
	}
	if err := flags.Parse(c.args); err != nil {
		t.Fatal(err)
	}
	return flags, func(name string) (string, bool) {
		value, given := c.env[name]
		if !given && name == "HOME" {
			return "/home/someone", true
		}
		return value, given
	}
}

func (c configCase) client(t *testing.T) (clientConfig, error) {
	t.Helper()
	flags, env := c.enter(t, addClientFlags, addTimeoutFlag)
	return loadClientConfig(flags, env)
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// linesOf lists the faults of an error, which must be a *config.LoadError.
func linesOf(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var all *config.LoadError
	if !errors.As(err, &all) {
		t.Fatalf("got %T (%v), want *config.LoadError", err, err)
	}
	var lines []string
	for _, fault := range all.Faults {
		lines = append(lines, fault.Error())
	}
	return lines
}

// wantLines compares the beginnings of the faults.
func wantLines(t *testing.T, err error, want ...string) {
	t.Helper()
	got := linesOf(t, err)
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("the faults are\n  %s\nwant them to begin\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestFlagBeatsEnvironmentBeatsFile(t *testing.T) {
	creds := filepath.Join(t.TempDir(), "creds")
	writeFile(t, creds, "")
	file := map[string]string{
		"name": `Name = "file"`, "data": `Data = "file"`, "plugins": "[Plugins]\nFolder = \"file\"",
		"nats": "[NATS]\nURL = \"nats://file\"", "listen": "[NATS]\nListen = \"127.0.0.1:1\"", "http": "[HTTP]\nListen = \"127.0.0.1:1\"",
		"creds": "[NATS]\nURL = \"nats://file\"\nCreds = \"file\"",
	}
	read := map[string]func(config.Config) string{
		"name":    func(c config.Config) string { return c.Name },
		"data":    func(c config.Config) string { return c.Data },
		"plugins": func(c config.Config) string { return c.Plugins.Folder },
		"nats":    func(c config.Config) string { return c.NATS.URL },
		"creds":   func(c config.Config) string { return c.NATS.Creds },
		"listen":  func(c config.Config) string { return c.NATS.Listen },
		"http":    func(c config.Config) string { return c.HTTP.Listen },
	}
	values := map[string][3]string{ // in the file, the environment, the flag
		"name": {"file", "env", "flag"}, "data": {"file", "env", "flag"}, "plugins": {"file", "env", "flag"},
		"nats":   {"nats://file", "nats://env", "nats://flag"},
		"creds":  {"file", "env", "flag"},
		"listen": {"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}, "http": {"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"},
	}
	for flag, want := range values {
		t.Run(flag, func(t *testing.T) {
			env := map[string]string{"PLUGINHOST_" + strings.ToUpper(flag): want[1]}
			args := []string{"--" + flag, want[2]}
			for i, c := range []configCase{
				{file: file[flag]}, {file: file[flag], env: env}, {file: file[flag], env: env, args: args},
			} {
				flags, lookup := c.enter(t, addServeFlags)
				for _, name := range []string{"file", "env", "flag"} {
					writeFile(t, name, "") // the credentials files
				}
				got, err := config.NewSource(sources(flags, lookup)).Load()
				if err != nil {
					t.Fatal(err)
				}
				if read[flag](got) != want[i] {
					t.Errorf("with %d sources it is %q, want %q", i+1, read[flag](got), want[i])
				}
			}
		})
	}
}

func TestOnlyTheDocumentedVariablesAreRead(t *testing.T) {
	allowed := []string{
		"PLUGINHOST_CONFIG", "PLUGINHOST_NATS", "PLUGINHOST_CREDS", "PLUGINHOST_PLUGINS", "PLUGINHOST_DATA", "PLUGINHOST_LISTEN",
		"PLUGINHOST_HTTP", "PLUGINHOST_LISTENBRAINZ", "PLUGINHOST_NAME", "PLUGINHOST_TIMEOUT", "XDG_DATA_HOME", "HOME",
	}
	var read []string
	env := func(name string) (string, bool) {
		read = append(read, name)
		return "", false
	}
	flags, _ := configCase{}.enter(t, addServeFlags, addTimeoutFlag)
	_, _ = config.NewSource(sources(flags, env)).Load()
	_, _ = loadClientConfig(flags, env)
	slices.Sort(read)
	read = slices.Compact(read)
	slices.Sort(allowed)
	if !slices.Equal(read, allowed) {
		t.Errorf("read %q, want %q", read, allowed)
	}
}

func TestCommandsHaveTheDocumentedFlags(t *testing.T) {
	for name, tc := range map[string]struct {
		add  []func(*pflag.FlagSet)
		want []string
	}{
		"serve":   {[]func(*pflag.FlagSet){addServeFlags}, []string{"config", "creds", "data", "http", "listen", "listenbrainz", "name", "nats", "plugins"}},
		"clients": {[]func(*pflag.FlagSet){addClientFlags}, []string{"config", "creds", "inbox-prefix", "json", "nats"}},
		"call":    {[]func(*pflag.FlagSet){addClientFlags, addTimeoutFlag}, []string{"config", "creds", "inbox-prefix", "json", "nats", "timeout"}},
	} {
		flags, _ := configCase{}.enter(t, tc.add...)
		var got []string
		flags.VisitAll(func(f *pflag.Flag) { got = append(got, f.Name) })
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s has %q, want %q", name, got, tc.want)
		}
	}
}

func TestClientsUseTheSameSources(t *testing.T) {
	file := "[NATS]\nURL = \"nats://file\"\nCreds = \"pluginhost.toml\"\n[NATS.TLS]\nCA = \"pluginhost.toml\"\n[Plugins]\nFolder = \"plugins\""
	got, err := configCase{file: file, env: map[string]string{"PLUGINHOST_NATS": "nats://env", "PLUGINHOST_DATA": "data"},
		args: []string{"--nats=nats://flag", "--json", "--timeout=3s"}}.client(t)
	if err != nil {
		t.Fatal(err)
	}
	want := clientConfig{Timeout: 3 * time.Second, JSON: true, Client: config.Client{
		NATSURL: "nats://flag", Creds: "pluginhost.toml", TLS: config.TLS{CA: "pluginhost.toml"},
		Data: "data", PluginsFolder: "plugins", DataBy: "PLUGINHOST_DATA", FolderBy: "pluginhost.toml: [Plugins] Folder",
		Runtime: config.Default().Runtime,
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

func TestClientsFailOnlyForWhatTheyUse(t *testing.T) {
	for name, tc := range map[string]struct {
		configCase
		want []string
	}{
		"serve's bad values": {configCase{
			file: "Name = \"a\\nb\"\nData = 5\n[Runtime]\nTimeout = \"x\"\nQueue = -1\n[NATS]\nReplicas = 9\n[PluginConfig]\nx = 1\n[PluginConfig.p]\nl = []",
			env:  map[string]string{"PLUGINHOST_HTTP": "x"},
		}, nil},
		"a token beside a URL":   {configCase{file: "[NATS]\nURL = \"nats://h\"\nToken = \"t\""}, nil},
		"a bad listen and a URL": {configCase{file: "[NATS]\nURL = \"nats://h\"\nListen = \"x\""}, nil},
		"credentials, no URL":    {configCase{args: []string{"--creds", "pluginhost.creds"}}, nil},
		"syntax":                 {configCase{file: "x"}, []string{"pluginhost.toml: line 1"}},
		"an unknown key":         {configCase{file: "[Runtime]\nx = 1"}, []string{"pluginhost.toml: [Runtime] x: unknown key"}},
		"a bad URL":              {configCase{env: map[string]string{"PLUGINHOST_NATS": "http://h"}}, []string{"PLUGINHOST_NATS: \"http://h\" has another scheme"}},
		"a bad listen":           {configCase{file: "[NATS]\nListen = \"x\""}, []string{"pluginhost.toml: [NATS] Listen: \"x\""}},
		"a bad token":            {configCase{file: "[NATS]\nToken = \"a b\""}, []string{"pluginhost.toml: [NATS] Token: this token"}},
		"missing credentials":    {configCase{args: []string{"--nats=h", "--creds=none"}}, []string{"--creds: \"none\" cannot be used"}},
		"half a certificate":     {configCase{file: "[NATS]\nURL = \"h\"\nTLS = {Cert = \"pluginhost.toml\"}"}, []string{"pluginhost.toml: [NATS.TLS] Cert: "}},
		"no time":                {configCase{args: []string{"--timeout=0s"}}, []string{"--timeout: \"0s\" is not allowed"}},
		"bad time":               {configCase{env: map[string]string{"PLUGINHOST_TIMEOUT": "5"}}, []string{"PLUGINHOST_TIMEOUT: \"5\" is not allowed"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tc.client(t)
			wantLines(t, err, tc.want...)
		})
	}
}

func TestTheTimeoutHasItsOwnPrecedence(t *testing.T) {
	env := map[string]string{"PLUGINHOST_TIMEOUT": "2s"}
	for want, c := range map[time.Duration]configCase{
		10 * time.Second: {},
		2 * time.Second:  {env: env},
		3 * time.Second:  {env: env, args: []string{"--timeout=3s"}},
	} {
		got, err := c.client(t)
		if err != nil || got.Timeout != want {
			t.Errorf("the timeout is %v (%v), want %v", got.Timeout, err, want)
		}
	}
	flags, lookup := configCase{env: map[string]string{"PLUGINHOST_TIMEOUT": "bad"}}.enter(t, addClientFlags)
	if got, err := loadClientConfig(flags, lookup); err != nil || got.Timeout != defaultCallTimeout {
		t.Errorf("a command without the flag reads the variable: %v, %v", got.Timeout, err)
	}
}
