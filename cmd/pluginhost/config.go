package main

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/pluginhost/pluginhost/replica"
)

// clientConfig is what the commands that talk to running replicas need.
type clientConfig struct {
	NATSURL string            // server or comma-separated servers to connect to, never empty
	Creds   string            // path of a credentials file, empty for none
	TLS     replica.TLSConfig // paths of PEM files, empty for none
	Timeout time.Duration     // for one call of a plugin; 10 s for commands without the flag
	JSON    bool              // print for machines
	// Data and PluginsFolder are where serve would keep its files; empty if nothing was set and there is no home folder.
	Data          string
	PluginsFolder string
	// dataBy and folderBy are what has named them, such as "--plugins"; empty is nothing.
	dataBy, folderBy string
	// InboxPrefix begins the subjects of replies; empty is that of nats.go.
	InboxPrefix string
	Runtime     replica.RuntimeConfig // for checks of plugins
}

// loadServeConfig puts together and validates what serve needs. env is os.LookupEnv or a stand-in.
// Any error is a *configError with all faults; nothing but the file system was touched.
func loadServeConfig(flags *pflag.FlagSet, env func(string) (string, bool)) (replica.Config, error) {
	return newConfigLoader(flags, env).serveConfig()
}

// serveConfig is loadServeConfig.
func (l *configLoader) serveConfig() (replica.Config, error) {
	l.load()
	l.fillName(os.Hostname)
	l.fillFolders()
	l.validate()
	if len(l.faults) > 0 {
		return replica.Config{}, &configError{faults: l.faults}
	}
	return l.config, nil
}

// loadClientConfig puts together what the other commands need from the same sources. Values that only serve uses may be
// bad, but not the structure of the file. env is os.LookupEnv or a stand-in. Any error is a *configError.
func loadClientConfig(flags *pflag.FlagSet, env func(string) (string, bool)) (clientConfig, error) {
	l := newConfigLoader(flags, env)
	l.load()
	l.fillFolders()
	l.validate()
	client := clientConfig{
		NATSURL:       l.config.NATS.URL,
		Creds:         l.config.NATS.Creds,
		TLS:           l.config.NATS.TLS,
		Data:          l.config.Data,
		PluginsFolder: l.config.Plugins.Folder,
		Runtime:       l.config.Runtime,
		dataBy:        l.origin["Data"],
		folderBy:      l.origin[replica.ConfigKey("Plugins", "Folder")],
	}
	var bad *configFault
	if client.InboxPrefix, bad = l.inboxPrefix(); bad != nil {
		l.faults = append(l.faults, *bad)
	}
	faults := slices.DeleteFunc(l.faults, func(f configFault) bool { return !f.structural && !l.clientUses(f) })
	if client.NATSURL == "" {
		client.NATSURL = embeddedURL(l.config.NATS)
	}
	if client.Timeout, bad = l.timeout(); bad != nil {
		faults = append(faults, *bad)
	}
	if flag := flags.Lookup("json"); flag != nil {
		client.JSON = flag.Value.String() == "true"
	}
	if len(faults) > 0 {
		return clientConfig{}, &configError{faults: faults}
	}
	return client, nil
}

// namedFolder is the folder that must be there before anything is put into the plugins folder, and what has named it.
func (c clientConfig) namedFolder() (folder, by string) {
	if c.folderBy != "" {
		return c.PluginsFolder, c.folderBy
	}
	return c.Data, c.dataBy
}

// fillName sets the default of Name, which an empty value stands for as well.
func (l *configLoader) fillName(hostname func() (string, error)) {
	const key = "Name"
	if l.config.Name != "" {
		return
	}
	delete(l.origin, key)
	name, err := hostname()
	if err != nil {
		l.fault(key, l.where(key), "cannot find the host name: "+oneLine(err.Error())+"; give --name, PLUGINHOST_NAME or Name")
		return
	}
	l.config.Name = name
}

// fillFolders sets the defaults of Data and [Plugins] Folder, which an empty value stands for as well.
func (l *configLoader) fillFolders() {
	const dataKey = "Data"
	if l.config.Data == "" {
		delete(l.origin, dataKey)
		l.config.Data = defaultData(l.env)
	}
	if l.config.Data == "" {
		l.fault(dataKey, l.where(dataKey), "neither XDG_DATA_HOME nor HOME names an absolute folder to keep data in; give --data, PLUGINHOST_DATA or Data")
	}
	if l.config.Plugins.Folder == "" {
		delete(l.origin, replica.ConfigKey("Plugins", "Folder"))
		if l.config.Data != "" {
			l.config.Plugins.Folder = filepath.Join(l.config.Data, "plugins")
		}
	}
}

// defaultData follows the XDG base directory specification, which has relative paths ignored.
func defaultData(env func(string) (string, bool)) string {
	if base, given := env("XDG_DATA_HOME"); given && filepath.IsAbs(base) {
		return filepath.Join(base, "pluginhost")
	}
	if home, given := env("HOME"); given && filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "share", "pluginhost")
	}
	return ""
}

// validate adds the faults of the values, save those that only follow from one that is listed already.
func (l *configLoader) validate() {
	listed := map[string]bool{}
	for _, fault := range l.faults {
		listed[fault.key] = true
	}
	if l.config.Data == "" && l.config.Plugins.Folder == "" {
		listed[replica.ConfigKey("Plugins", "Folder")] = true
	}
	delete(listed, "") // structural faults, which have no key
	var invalid *replica.ConfigError
	if !errors.As(l.config.Validate(), &invalid) {
		return
	}
	for _, fault := range invalid.Faults {
		if !listed[fault.Key] && !listed[fault.Against] {
			l.faults = append(l.faults, configFault{key: fault.Key, where: l.where(fault.Key), text: fault.Text, against: fault.Against})
		}
	}
}

// clientUses says whether a fault concerns commands that talk to a running replica.
func (l *configLoader) clientUses(fault configFault) bool {
	url := replica.ConfigKey("NATS", "URL")
	switch fault.key {
	case url, replica.ConfigKey("NATS", "Creds"), replica.ConfigKey("NATS", "TLS", "CA"),
		replica.ConfigKey("NATS", "TLS", "Cert"), replica.ConfigKey("NATS", "TLS", "Key"):
		return fault.against != url
	case replica.ConfigKey("NATS", "Listen"), replica.ConfigKey("NATS", "Token"):
		return l.config.NATS.URL == "" && fault.against == ""
	}
	return false
}

// embeddedURL is where a replica with this configuration and an embedded server is found.
func embeddedURL(n replica.NATSConfig) string {
	host, port, err := net.SplitHostPort(n.Listen)
	number, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || number == 0 {
		return defaultClientURL
	}
	switch ip, err := netip.ParseAddr(host); {
	case host == "", err == nil && ip.IsUnspecified() && ip.Is4():
		host = "127.0.0.1"
	case err == nil && ip.IsUnspecified():
		host = "::1"
	}
	server := url.URL{Scheme: "nats", Host: net.JoinHostPort(host, port)}
	if n.Token != "" {
		server.User = url.User(n.Token)
	}
	return server.String()
}

// inboxPrefix is where the command has replies sent to, where it has the flag.
func (l *configLoader) inboxPrefix() (string, *configFault) {
	const flagName, variable = "inbox-prefix", "PLUGINHOST_INBOX_PREFIX"
	flag := l.flags.Lookup(flagName)
	if flag == nil {
		return "", nil
	}
	prefix, where := "", ""
	if value, given := l.env(variable); given {
		prefix, where = value, variable
	}
	if flag.Changed {
		prefix, where = flag.Value.String(), "--"+flagName
	}
	if prefix != "" && (strings.ContainsAny(prefix, "*> \t\r\n") || strings.HasPrefix(prefix, ".") || strings.HasSuffix(prefix, ".")) {
		return "", &configFault{where: where, structural: true, text: quoteValue(prefix) + " is not allowed; it takes a subject without wildcards, such as \"_INBOX_navidrome\""}
	}
	return prefix, nil
}

// timeout is the time for one call, where the command has the flag.
func (l *configLoader) timeout() (time.Duration, *configFault) {
	flag := l.flags.Lookup("timeout")
	if flag == nil {
		return defaultCallTimeout, nil
	}
	text, where := flag.DefValue, "--timeout (default)"
	if value, given := l.env("PLUGINHOST_TIMEOUT"); given {
		text, where = value, "PLUGINHOST_TIMEOUT"
	}
	if flag.Changed {
		text, where = flag.Value.String(), "--timeout"
	}
	timeout, err := time.ParseDuration(text)
	if err != nil || timeout <= 0 {
		return 0, &configFault{where: where, text: quoteValue(text) + " is not allowed; it takes a duration above 0, such as \"10s\""}
	}
	return timeout, nil
}
