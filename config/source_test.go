package config

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// configCase is one start of the program: a file in the working directory, variables and arguments.
type configCase struct {
	file string // content of pluginhost.toml; empty for none
	env  map[string]string
	args []string
}

// enter moves the test to an empty working directory with the file, and returns flags and environment.
func (c configCase) enter(t *testing.T) Sources {
	t.Helper()
	t.Chdir(t.TempDir())
	if c.file != "" {
		writeFile(t, DefaultFile, c.file)
	}
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags.String("config", "", "")
	for _, s := range settings(new(Config)) {
		if s.flag != "" {
			flags.String(s.flag, "", "")
		}
	}
	if err := flags.Parse(c.args); err != nil {
		t.Fatal(err)
	}
	return Sources{
		Flag: func(name string) (string, bool) {
			flag := flags.Lookup(name)
			return flag.Value.String(), flag.Changed
		},
		Env: func(name string) (string, bool) {
			value, given := c.env[name]
			if !given && name == "HOME" {
				return "/home/someone", true
			}
			return value, given
		},
	}
}

func (c configCase) serve(t *testing.T) (Config, error) {
	t.Helper()
	sources := c.enter(t)
	return NewSource(sources).Load()
}

func (c configCase) client(t *testing.T) (Client, error) {
	t.Helper()
	sources := c.enter(t)
	return LoadClient(sources)
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// linesOf lists the faults of an error, which must be a *LoadError.
func linesOf(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var all *LoadError
	if !errors.As(err, &all) {
		t.Fatalf("got %T (%v), want *LoadError", err, err)
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

func TestWithoutAnyConfigurationTheDefaultsApply(t *testing.T) {
	got, err := configCase{}.serve(t)
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Name, want.Data, want.Plugins.Folder = host, "/home/someone/.local/share/pluginhost", "/home/someone/.local/share/pluginhost/plugins"
	equal(t, got, want)
}

func TestAnEmptyValueBeatsOneThatIsNot(t *testing.T) {
	got, err := configCase{
		file: "[NATS]\nURL = \"nats://h\"\n[HTTP]\nListen = \"127.0.0.1:1\"",
		env:  map[string]string{"PLUGINHOST_HTTP": ""}, args: []string{"--nats", ""},
	}.serve(t)
	if err != nil {
		t.Fatal(err)
	}
	if got.NATS.URL != "" || got.HTTP.Listen != "" {
		t.Errorf("NATS URL %q and HTTP listen %q, want both empty", got.NATS.URL, got.HTTP.Listen)
	}
}

func TestAnEmptyNameOrFolderIsTheDefault(t *testing.T) {
	got, err := configCase{
		file: "Name = \"\"\n[Plugins]\nFolder = \"\"",
		env:  map[string]string{"PLUGINHOST_DATA": "", "PLUGINHOST_CONFIG": "", "XDG_DATA_HOME": "/xdg"},
		args: []string{"--config", ""},
	}.serve(t)
	if err != nil {
		t.Fatal(err)
	}
	if got.Name == "" || got.Data != "/xdg/pluginhost" || got.Plugins.Folder != "/xdg/pluginhost/plugins" {
		t.Errorf("name %q, data %q and plugins %q, want the defaults", got.Name, got.Data, got.Plugins.Folder)
	}
}

func TestTheFileIsTheOneAskedFor(t *testing.T) {
	for name, tc := range map[string]struct {
		env  map[string]string
		args []string
		want string
	}{
		"the one in the working directory": {nil, nil, "default"},
		"the variable's":                   {map[string]string{"PLUGINHOST_CONFIG": "env.toml"}, nil, "env"},
		"the flag's":                       {map[string]string{"PLUGINHOST_CONFIG": "env.toml"}, []string{"--config=flag.toml"}, "flag"},
	} {
		t.Run(name, func(t *testing.T) {
			sources := configCase{file: `Name = "default"`, env: tc.env, args: tc.args}.enter(t)
			writeFile(t, "env.toml", `Name = "env"`)
			writeFile(t, "flag.toml", `Name = "flag"`)
			got, err := NewSource(sources).Load()
			if err != nil {
				t.Fatal(err)
			}
			if got.Name != tc.want {
				t.Errorf("read the file of %q, want that of %q", got.Name, tc.want)
			}
		})
	}
}

func TestAFileThatCannotBeReadIsAFault(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare func(t *testing.T)
		env     map[string]string
		args    []string
		want    string
	}{
		"missing, by flag":     {nil, nil, []string{"--config", "none.toml"}, "--config: cannot read the configuration: open none.toml"},
		"missing, by variable": {nil, map[string]string{"PLUGINHOST_CONFIG": "none.toml"}, nil, "PLUGINHOST_CONFIG: cannot read the configuration: open none.toml"},
		"a name of two lines":  {nil, nil, []string{"--config", "a\nb"}, "--config: cannot read the configuration: open a b"},
		"a folder":             {nil, nil, []string{"--config", "."}, "--config: cannot read the configuration: . is not a regular file: it is a folder"},
		"default is a folder": {func(t *testing.T) {
			if err := os.Mkdir(DefaultFile, 0o700); err != nil {
				t.Fatal(err)
			}
		}, nil, nil, "pluginhost.toml: cannot read the configuration: pluginhost.toml is not a regular file: it is a folder"},
		"too large": {func(t *testing.T) { writeFile(t, DefaultFile, strings.Repeat("#", maxFile+1)) },
			nil, nil, "pluginhost.toml: cannot read the configuration: pluginhost.toml is larger than 4194304 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			c := configCase{env: tc.env, args: tc.args}
			sources := c.enter(t)
			if tc.prepare != nil {
				tc.prepare(t)
			}
			_, err := NewSource(sources).Load()
			wantLines(t, err, tc.want)
			_, err = LoadClient(sources)
			wantLines(t, err, tc.want)
		})
	}
}

func TestTheDataFolderNeedsAHome(t *testing.T) {
	for name, tc := range map[string]struct {
		env  map[string]string
		data string
	}{
		"XDG":                     {map[string]string{"XDG_DATA_HOME": "/xdg", "HOME": "/home/me"}, "/xdg/pluginhost"},
		"home":                    {map[string]string{"HOME": "/home/me"}, "/home/me/.local/share/pluginhost"},
		"a relative XDG is void":  {map[string]string{"XDG_DATA_HOME": "xdg", "HOME": "/home/me"}, "/home/me/.local/share/pluginhost"},
		"none":                    {map[string]string{"HOME": ""}, ""},
		"a relative home is void": {map[string]string{"HOME": "home", "PLUGINHOST_DATA": ""}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := configCase{env: tc.env}.serve(t)
			client, clientErr := configCase{env: tc.env}.client(t)
			if clientErr != nil || client.Data != tc.data {
				t.Errorf("clients see %q and %v, want %q", client.Data, clientErr, tc.data)
			}
			if tc.data == "" {
				wantLines(t, err, "Data (default): neither XDG_DATA_HOME nor HOME names an absolute folder")
				return
			}
			if err != nil || got.Data != tc.data {
				t.Errorf("serve sees %q and %v, want %q", got.Data, err, tc.data)
			}
		})
	}
}

func TestAMissingHostNameIsAFault(t *testing.T) {
	sources := configCase{env: map[string]string{"PLUGINHOST_NAME": ""}}.enter(t)
	l := newLoader(sources)
	l.load()
	l.fillName(func() (string, error) { return "", errors.New("no name today") })
	wantLines(t, &LoadError{Faults: l.faults}, "Name (default): cannot find the host name: no name today; give --name")
}

func TestAFaultNamesTheSourceOfTheValue(t *testing.T) {
	for name, tc := range map[string]struct {
		configCase
		want string
	}{
		"flag":           {configCase{args: []string{"--listen", "x"}}, `--listen: "x" is not allowed`},
		"environment":    {configCase{env: map[string]string{"PLUGINHOST_LISTEN": "x"}}, `PLUGINHOST_LISTEN: "x" is not allowed`},
		"file":           {configCase{file: "[nats]\nlisten = \"x\""}, `pluginhost.toml: [NATS] Listen: "x" is not allowed`},
		"default":        {configCase{file: "[Runtime]\nMaxTimeout = \"5s\""}, `pluginhost.toml: [Runtime] Timeout (default): 10s is more than the 5s`},
		"override":       {configCase{file: "[Runtime.Plugin.P]\nQueue = -1"}, `pluginhost.toml: [Runtime.Plugin.P] Queue: -1 is not allowed`},
		"token required": {configCase{args: []string{"--listen", ":4222"}}, `--listen: ":4222" can be reached from other machines, so [NATS] Token is required`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tc.serve(t)
			wantLines(t, err, tc.want)
		})
	}
}

const everyFault = `
Nam = "typo"
data = 5
[Plugins]
enabled = "yes"
[PluginConfig.b]
list = [1]
[PluginConfig.a]
day = 2020-01-01
[NATS]
Listen = "x"
[Runtime]
MaxTimeout = "abc"
Timeout = "2m"
[Runtime.Plugin.p]
HostMemory = "1GB"
[Scheduler]
TimeZone = "Mars"
[Other]
`

func TestAllFaultsAreListedTogetherAndInOrder(t *testing.T) {
	want := []string{
		"pluginhost.toml: Nam: unknown key; did you mean Name?",
		"pluginhost.toml: [Other]: unknown section; allowed here: Name, Data, [Plugins], [PluginConfig.<id>], [NATS], [Runtime], [Cache], [Scheduler], [WebSocket], [Navidrome], [HTTP]",
		"pluginhost.toml: [PluginConfig.a] day: a date or time is not allowed; it takes a string, a number, true or false",
		"pluginhost.toml: [PluginConfig.b] list: a list is not allowed; it takes a string, a number, true or false",
		"pluginhost.toml: [Plugins] Enabled: a string is not allowed; it takes true or false without quotes",
		`pluginhost.toml: [Runtime] MaxTimeout: "abc" is no duration; it takes one such as "10s" or "1m30s"`,
		"pluginhost.toml: [Runtime.Plugin.p] HostMemory: HostMemory is for all plugins together; one plugin can have its own Isolation",
		"pluginhost.toml: Data: a whole number is not allowed; it takes a string in quotes",
		`--name: "a\nb" is not allowed`,
		`pluginhost.toml: [NATS] Listen: "x" is not allowed`,
		`pluginhost.toml: [Scheduler] TimeZone: "Mars" is no known time zone`,
		`PLUGINHOST_HTTP: "y" is not allowed`,
	}
	c := configCase{file: everyFault, args: []string{"--name", "a\nb"}, env: map[string]string{"PLUGINHOST_HTTP": "y"}}
	_, first := c.serve(t)
	wantLines(t, first, want...)
	if text := first.Error(); !strings.HasPrefix(text, "12 faults in the configuration:\n  pluginhost.toml: Nam: ") || strings.Count(text, "\n") != 12 {
		t.Errorf("the message is\n%s", text)
	}
	for range 10 {
		if _, again := c.serve(t); again.Error() != first.Error() {
			t.Fatalf("the list changed to\n%v", again)
		}
	}
}

func TestOneFaultIsOneLine(t *testing.T) {
	_, err := configCase{file: `x = 1`}.serve(t)
	if got := err.Error(); !strings.HasPrefix(got, "pluginhost.toml: x: unknown key; allowed here: Name, ") || strings.Contains(got, "\n") {
		t.Errorf("the message is %q", got)
	}
}

func TestClientsFindTheEmbeddedServer(t *testing.T) {
	for name, tc := range map[string]struct {
		configCase
		want string
	}{
		"nothing set":         {configCase{}, "nats://127.0.0.1:4222"},
		"a fixed port":        {configCase{file: "[NATS]\nListen = \"127.0.0.1:5000\""}, "nats://127.0.0.1:5000"},
		"with a token":        {configCase{file: "[NATS]\nListen = \"192.0.2.1:5000\"\nToken = \"t.0-k_n~\""}, "nats://t.0-k_n~@192.0.2.1:5000"},
		"token, default port": {configCase{file: "[NATS]\nToken = \"tok\""}, "nats://tok@127.0.0.1:4222"},
		"any port":            {configCase{file: "[NATS]\nListen = \"127.0.0.1:0\"\nToken = \"tok\""}, "nats://127.0.0.1:4222"},
		"all addresses":       {configCase{file: "[NATS]\nListen = \":5000\"\nToken = \"tok\""}, "nats://tok@127.0.0.1:5000"},
		"all IPv4 addresses":  {configCase{file: "[NATS]\nListen = \"0.0.0.0:5000\""}, "nats://127.0.0.1:5000"},
		"all IPv6 addresses":  {configCase{file: "[NATS]\nListen = \"[::]:5000\""}, "nats://[::1]:5000"},
		"listen by variable":  {configCase{env: map[string]string{"PLUGINHOST_LISTEN": "127.0.0.1:6000"}}, "nats://127.0.0.1:6000"},
		"a URL counts more":   {configCase{file: "[NATS]\nURL = \"nats://h\"\nListen = \"127.0.0.1:5000\""}, "nats://h"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tc.client(t)
			if err != nil {
				t.Fatal(err)
			}
			if got.NATSURL != tc.want {
				t.Errorf("they connect to %q, want %q", got.NATSURL, tc.want)
			}
		})
	}
}
