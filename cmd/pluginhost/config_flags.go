package main

import (
	"github.com/spf13/pflag"

	"github.com/pluginhost/pluginhost/config"
)

// addServeFlags registers the flags of serve, which config.Source reads.
func addServeFlags(flags *pflag.FlagSet) {
	defaults := config.Default()
	addConnectionFlags(flags, "unset = embed a server")
	addFolderFlags(flags)
	flags.String("listen", "", "host:port of the embedded NATS server; port 0 picks one (default "+defaults.NATS.Listen+")")
	flags.String("http", "", "host:port of health and of the gateway, by which plugins are called over HTTP; empty = off (default "+defaults.HTTP.Listen+")")
	flags.String("listenbrainz", "", "host:port on which music servers scrobble as if it were ListenBrainz, such as 127.0.0.1:8060 (default off)")
	flags.String("name", "", "name of this replica (default the host name)")
}

// addClientFlags registers the flags of the commands that talk to running replicas, which loadClientConfig reads.
func addClientFlags(flags *pflag.FlagSet) {
	addConnectionFlags(flags, "default "+config.DefaultServer)
	flags.Bool("json", false, "print JSON for machines")
	flags.String("inbox-prefix", "", "begins the subjects of replies, for a NATS user that may not have those of others, such as _INBOX_navidrome (default _INBOX)")
}

// addFolderFlags registers the flags of the commands that work in the plugins folder.
func addFolderFlags(flags *pflag.FlagSet) {
	flags.String("plugins", "", "folder of the plugins (default <data>/plugins)")
	flags.String("data", "", "folder of the replica's own files (default $XDG_DATA_HOME/pluginhost)")
}

// addTimeoutFlag registers the flag that only call has besides addClientFlags.
func addTimeoutFlag(flags *pflag.FlagSet) {
	flags.Duration("timeout", defaultCallTimeout, "how long the plugin may take")
}

func addConnectionFlags(flags *pflag.FlagSet, unset string) {
	flags.String("config", "", "configuration file (default "+config.DefaultFile+" in the working directory if there is one)")
	flags.String("nats", "", "URL of the NATS server ("+unset+")")
	flags.String("creds", "", "credentials file for the NATS server")
}
