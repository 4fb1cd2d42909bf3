package config

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pluginhost/pluginhost/sdk/excerpt"
)

// DefaultServer is the URL of the embedded server of a replica whose settings say nothing of it.
const DefaultServer = "nats://" + defaultListen

const defaultListen = "127.0.0.1:4222"

// Client is what a command needs that talks to running replicas, or works in their plugins folder.
type Client struct {
	NATSURL string // server or comma-separated servers to connect to, never empty
	Creds   string // path of a credentials file, empty for none
	TLS     TLS    // paths of PEM files, empty for none
	// Data and PluginsFolder are where a replica would keep its files; empty if nothing was set and there is no home folder.
	Data          string
	PluginsFolder string
	// DataBy and FolderBy are what has named them, such as "--plugins"; empty is nothing.
	DataBy, FolderBy string
	Runtime          Runtime // for checks of plugins
}

// LoadClient puts together what a command needs from the sources of a replica. Values that only a replica uses may be bad,
// but not the structure of the file. Any error is a *LoadError.
func LoadClient(sources Sources) (Client, error) {
	l := newLoader(sources)
	l.load()
	l.fillFolders()
	l.validate()
	faults := slices.DeleteFunc(l.faults, func(f *Fault) bool { return !f.structural && !l.clientUses(f) })
	if len(faults) > 0 {
		return Client{}, &LoadError{Faults: faults}
	}
	client := Client{
		NATSURL:       l.config.NATS.URL,
		Creds:         l.config.NATS.Creds,
		TLS:           l.config.NATS.TLS,
		Data:          l.config.Data,
		PluginsFolder: l.config.Plugins.Folder,
		DataBy:        l.origin["Data"],
		FolderBy:      l.origin[Key("Plugins", "Folder")],
		Runtime:       l.config.Runtime,
	}
	if client.NATSURL == "" {
		client.NATSURL = embeddedURL(l.config.NATS)
	}
	return client, nil
}

// NamedFolder is the folder that must be there before anything is put into the plugins folder, and what has named it.
func (c Client) NamedFolder() (folder, by string) {
	if c.FolderBy != "" {
		return c.PluginsFolder, c.FolderBy
	}
	return c.Data, c.DataBy
}

// clientUses says whether a fault concerns commands that talk to a running replica.
func (l *loader) clientUses(fault *Fault) bool {
	urlKey := Key("NATS", "URL")
	switch fault.Key {
	case urlKey, Key("NATS", "Creds"), Key("NATS", "TLS", "CA"), Key("NATS", "TLS", "Cert"), Key("NATS", "TLS", "Key"):
		return fault.Against != urlKey
	case Key("NATS", "Listen"), Key("NATS", "Token"):
		return l.config.NATS.URL == "" && fault.Against == ""
	}
	return false
}

// embeddedURL is where a replica with this configuration and an embedded server is found.
func embeddedURL(n NATS) string {
	host, port, err := net.SplitHostPort(n.Listen)
	number, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || number == 0 {
		return DefaultServer
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

// LoadInboxPrefix returns what the subjects of replies begin with for a command with --inbox-prefix; empty is nobody's
// choice. Any error is a *Fault.
func LoadInboxPrefix(sources Sources) (string, error) {
	prefix, where := sources.ofCommand("inbox-prefix", "PLUGINHOST_INBOX_PREFIX")
	if strings.ContainsAny(prefix, "*> \t\r\n") || strings.HasPrefix(prefix, ".") || strings.HasSuffix(prefix, ".") {
		return "", &Fault{At: where, Text: excerpt.Quoted(prefix) + " is not allowed; it takes a subject without wildcards, such as \"_INBOX_navidrome\""}
	}
	return prefix, nil
}

// LoadTimeout returns how long a call may take for a command with --timeout; fallback is nobody's choice. Any error is a
// *Fault.
func LoadTimeout(sources Sources, fallback time.Duration) (time.Duration, error) {
	text, where := sources.ofCommand("timeout", "PLUGINHOST_TIMEOUT")
	if where == "" {
		return fallback, nil
	}
	timeout, err := time.ParseDuration(text)
	if err != nil || timeout <= 0 {
		return 0, &Fault{At: where, Text: excerpt.Quoted(text) + " is not allowed; it takes a duration above 0, such as \"10s\""}
	}
	return timeout, nil
}

// ofCommand is a setting of single commands, which has no key, and where its value was given; empty is nowhere.
func (s Sources) ofCommand(flag, variable string) (value, where string) {
	if value, given := s.Flag(flag); given {
		return value, "--" + flag
	}
	if value, given := s.Env(variable); given {
		return value, variable
	}
	return "", ""
}
