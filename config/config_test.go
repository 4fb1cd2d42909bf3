package config_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/config"
)

// completeConfig is the defaults and what they leave to the machine.
func completeConfig() config.Config {
	c := config.Default()
	c.Name, c.Data, c.Plugins.Folder = "north", "data", "data/plugins"
	return c
}

func faultsOf(t *testing.T, c config.Config) []*config.Fault {
	t.Helper()
	err := c.Validate()
	if err == nil {
		return nil
	}
	var all *config.InvalidError
	if !errors.As(err, &all) {
		t.Fatalf("Validate returned %T, want *config.InvalidError", err)
	}
	return all.Faults
}

func keysOf(faults []*config.Fault) []string {
	var keys []string
	for _, fault := range faults {
		keys = append(keys, fault.Key)
	}
	return keys
}

func TestTheDefaultsNeedOnlyNameAndFolders(t *testing.T) {
	got := keysOf(faultsOf(t, config.Default()))
	if want := []string{"Name", "Data", "[Plugins] Folder"}; !slices.Equal(got, want) {
		t.Errorf("the defaults have faults at %q, want %q", got, want)
	}
	if err := completeConfig().Validate(); err != nil {
		t.Errorf("the completed defaults are refused: %v", err)
	}
}

func TestTheDefaultsAreTheDocumentedOnes(t *testing.T) {
	c := config.Default()
	for key, pair := range map[string][2]any{
		"[Plugins] Enabled":          {c.Plugins.Enabled, true},
		"[Plugins] CacheSize":        {c.Plugins.CacheSize, int64(1_000_000_000)},
		"[Plugins] Watch":            {c.Plugins.Watch, true},
		"[NATS] URL":                 {c.NATS.URL, ""},
		"[NATS] Replicas":            {c.NATS.Replicas, 0},
		"[NATS] Storage":             {c.NATS.Storage, "file"},
		"[NATS] Listen":              {c.NATS.Listen, "127.0.0.1:4222"},
		"[Runtime] Isolation":        {c.Runtime.Isolation, "clean"},
		"[Runtime] PoolSize":         {c.Runtime.PoolSize, 8},
		"[Runtime] InstanceTTL":      {c.Runtime.InstanceTTL, time.Minute},
		"[Runtime] MaxConcurrent":    {c.Runtime.MaxConcurrent, 10},
		"[Runtime] Queue":            {c.Runtime.Queue, 256},
		"[Runtime] Timeout":          {c.Runtime.Timeout, 10 * time.Second},
		"[Runtime] MaxTimeout":       {c.Runtime.MaxTimeout, time.Minute},
		"[Runtime] InitTimeout":      {c.Runtime.InitTimeout, 5 * time.Minute},
		"[Runtime] MaxMemory":        {c.Runtime.MaxMemory, int64(256_000_000)},
		"[Runtime] HostMemory":       {c.Runtime.HostMemory, int64(2_000_000_000)},
		"[Runtime] CompileTimeout":   {c.Runtime.CompileTimeout, time.Minute},
		"[Runtime] CompileMemory":    {c.Runtime.CompileMemory, int64(512_000_000)},
		"[Runtime] CompileWorkers":   {c.Runtime.CompileWorkers, 2},
		"[Scheduler] TimeZone":       {c.Scheduler.TimeZone, "UTC"},
		"[Scheduler] MaxSchedules":   {c.Scheduler.MaxSchedules, 1_000},
		"[Scheduler] MaxPayload":     {c.Scheduler.MaxPayload, int64(64_000)},
		"[WebSocket] MaxConnections": {c.WebSocket.MaxConnections, 50},
		"[WebSocket] MaxMessage":     {c.WebSocket.MaxMessage, int64(1_000_000)},
		"[WebSocket] Ping":           {c.WebSocket.Ping, 20 * time.Second},
		"[Navidrome] UserHeader":     {c.Navidrome.UserHeader, "Remote-User"},
		"[Navidrome] Artwork":        {c.Navidrome.Artwork, "proxy"},
		"[Navidrome] Subsonic":       {c.Navidrome.Subsonic, "http"},
		"[HTTP] Listen":              {c.HTTP.Listen, "127.0.0.1:8080"},
		"[Scrobbles] MaxAge":         {c.Scrobbles.MaxAge, 14 * 24 * time.Hour},
		"[Scrobbles] Unlinked":       {c.Scrobbles.Unlinked, 24 * time.Hour},
		"[Scrobbles] MaxIntake":      {c.Scrobbles.MaxIntake, int64(256_000_000)},
		"[Scrobbles] MaxQueue":       {c.Scrobbles.MaxQueue, 1_000_000},
		"[Scrobbles] MaxUser":        {c.Scrobbles.MaxUser, 100_000},
		"[Scrobbles] MaxUnlinked":    {c.Scrobbles.MaxUnlinked, 1_000},
		"[Scrobbles] MaxDead":        {c.Scrobbles.MaxDead, 100_000},
		"[ListenBrainz] Listen":      {c.ListenBrainz.Listen, ""},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %v, want %v", key, pair[0], pair[1])
		}
	}
}

func TestValidateNamesTheKeyTheValueAndWhatIsAllowed(t *testing.T) {
	existing := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(existing, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	remote := func(c *config.Config) { c.NATS.URL = "nats://example.test" }
	override := func(o config.RuntimeOverride) func(*config.Config) {
		return func(c *config.Config) { c.Runtime.Plugin = map[string]config.RuntimeOverride{"my-plugin": o} }
	}
	proxies := func(entries ...string) func(*config.Config) {
		return func(c *config.Config) { c.HTTP.TrustedProxies = entries }
	}
	words := func(retry, final []string) func(*config.Config) {
		return func(c *config.Config) {
			c.Scrobbles.Plugin = map[string]config.ScrobbleWords{"my.plugin": {Retry: retry, Final: final}}
		}
	}
	users := func(users ...config.User) func(*config.Config) { return func(c *config.Config) { c.Users = users } }
	joe := config.User{Name: "Joe", ID: "1"}
	for name, tc := range map[string]struct {
		change  func(*config.Config)
		key     string
		against string
		text    []string
	}{
		"empty name":           {func(c *config.Config) { c.Name = "" }, "Name", "", []string{`""`, "255"}},
		"name too long":        {func(c *config.Config) { c.Name = strings.Repeat("n", 256) }, "Name", "", []string{"255"}},
		"name with a new line": {func(c *config.Config) { c.Name = "a\nb" }, "Name", "", []string{`"a\nb"`, "printable"}},
		"name with edge space": {func(c *config.Config) { c.Name = "a " }, "Name", "", []string{`"a "`, "without spaces"}},
		"name not UTF-8":       {func(c *config.Config) { c.Name = "a\xff" }, "Name", "", []string{`"a\xff"`}},
		"empty data":           {func(c *config.Config) { c.Data = "" }, "Data", "", []string{"path of a folder"}},
		"data with NUL":        {func(c *config.Config) { c.Data = "a\x00b" }, "Data", "", []string{`"a\x00b"`}},
		"empty folder":         {func(c *config.Config) { c.Plugins.Folder = "" }, "[Plugins] Folder", "", []string{"path of a folder"}},
		"no cache size":        {func(c *config.Config) { c.Plugins.CacheSize = 0 }, "[Plugins] CacheSize", "", []string{"0 bytes", "above 0"}},
		"negative cache size":  {func(c *config.Config) { c.Plugins.CacheSize = -1 }, "[Plugins] CacheSize", "", []string{"-1 bytes", "above 0"}},

		"twin plugin ids": {func(c *config.Config) {
			c.PluginConfig = map[string]map[string]string{"A": {}, "a": {}}
		}, "[PluginConfig.a]", "", []string{`"A"`, "keep one"}},
		"empty plugin id": {func(c *config.Config) {
			c.PluginConfig = map[string]map[string]string{"": {"k": "v"}}
		}, `[PluginConfig.""]`, "", []string{"empty"}},
		"twin entries": {func(c *config.Config) {
			c.PluginConfig = map[string]map[string]string{"my.plugin": {"Key": "1", "key": "2"}}
		}, `[PluginConfig."my.plugin"] key`, "", []string{`"Key"`, "keep one"}},

		"URL of another scheme":   {func(c *config.Config) { c.NATS.URL = "http://example.test" }, "[NATS] URL", "", []string{`"http://example.test"`, "nats://"}},
		"URL without host":        {func(c *config.Config) { c.NATS.URL = "nats://:4222" }, "[NATS] URL", "", []string{`"nats://:4222"`, "nats://host:port"}},
		"URL with a bad port":     {func(c *config.Config) { c.NATS.URL = "nats://h:70000" }, "[NATS] URL", "", []string{"no server URL"}},
		"URL with port 0":         {func(c *config.Config) { c.NATS.URL = "nats://h:0" }, "[NATS] URL", "", []string{"no server URL"}},
		"URL with a path":         {func(c *config.Config) { c.NATS.URL = "nats://h/x" }, "[NATS] URL", "", []string{"more than a host"}},
		"one bad URL of several":  {func(c *config.Config) { c.NATS.URL = "nats://a,nats://" }, "[NATS] URL", "", []string{"no server URL", "commas"}},
		"URLs of different kinds": {func(c *config.Config) { c.NATS.URL = "nats://a,ws://b" }, "[NATS] URL", "", []string{"mixes"}},
		"URL without end":         {func(c *config.Config) { c.NATS.URL = "nats://" + strings.Repeat("a", 5000) }, "[NATS] URL", "", []string{"too long"}},
		"missing creds":           {func(c *config.Config) { remote(c); c.NATS.Creds = "none.creds" }, "[NATS] Creds", "", []string{`"none.creds"`, "path of a file"}},
		"creds is a folder":       {func(c *config.Config) { remote(c); c.NATS.Creds = "." }, "[NATS] Creds", "", []string{`"."`, "is a folder"}},
		"creds without URL":       {func(c *config.Config) { c.NATS.Creds = existing }, "[NATS] Creds", "[NATS] URL", []string{"embedded server"}},
		"missing CA":              {func(c *config.Config) { remote(c); c.NATS.TLS.CA = "none.pem" }, "[NATS.TLS] CA", "", []string{`"none.pem"`}},
		"CA without URL":          {func(c *config.Config) { c.NATS.TLS.CA = existing }, "[NATS.TLS] CA", "[NATS] URL", []string{"embedded server"}},
		"cert without key":        {func(c *config.Config) { remote(c); c.NATS.TLS.Cert = existing }, "[NATS.TLS] Cert", "[NATS.TLS] Key", []string{"[NATS.TLS] Key as well"}},
		"key without cert":        {func(c *config.Config) { remote(c); c.NATS.TLS.Key = existing }, "[NATS.TLS] Key", "[NATS.TLS] Cert", []string{"[NATS.TLS] Cert as well"}},
		"six copies":              {func(c *config.Config) { remote(c); c.NATS.Replicas = 6 }, "[NATS] Replicas", "", []string{"6", "1 to 5"}},
		"minus one copy":          {func(c *config.Config) { remote(c); c.NATS.Replicas = -1 }, "[NATS] Replicas", "", []string{"-1", "1 to 5"}},
		"copies without cluster":  {func(c *config.Config) { c.NATS.Replicas = 3 }, "[NATS] Replicas", "[NATS] URL", []string{"3", "0 or 1"}},
		"unknown storage":         {func(c *config.Config) { c.NATS.Storage = "disk" }, "[NATS] Storage", "", []string{`"disk"`, `"file" or "memory"`}},
		"listen without port":     {func(c *config.Config) { c.NATS.Listen = "127.0.0.1" }, "[NATS] Listen", "", []string{`"127.0.0.1"`, "host:port"}},
		"listen on a big port":    {func(c *config.Config) { c.NATS.Listen = "127.0.0.1:65536" }, "[NATS] Listen", "", []string{"65535"}},
		"listen on a named port":  {func(c *config.Config) { c.NATS.Listen = "127.0.0.1:nats" }, "[NATS] Listen", "", []string{"65535"}},
		"listen on no host name":  {func(c *config.Config) { c.NATS.Listen = "a b:1" }, "[NATS] Listen", "", []string{`"a b:1"`}},
		"empty listen":            {func(c *config.Config) { c.NATS.Listen = "" }, "[NATS] Listen", "", []string{`""`, "host:port"}},
		"open listen, no token":   {func(c *config.Config) { c.NATS.Listen = "0.0.0.0:4222" }, "[NATS] Listen", "[NATS] Token", []string{`"0.0.0.0:4222"`, "required", "nats://TOKEN@host:port"}},
		"LAN listen, no token":    {func(c *config.Config) { c.NATS.Listen = "192.0.2.1:4222" }, "[NATS] Listen", "[NATS] Token", []string{"required"}},
		"all hosts, no token":     {func(c *config.Config) { c.NATS.Listen = ":0" }, "[NATS] Listen", "[NATS] Token", []string{"required"}},
		"host name, no token":     {func(c *config.Config) { c.NATS.Listen = "nats.example.test:4222" }, "[NATS] Listen", "[NATS] Token", []string{"required"}},
		"token that URLs escape":  {func(c *config.Config) { c.NATS.Token = "a:b" }, "[NATS] Token", "", []string{"letters, digits"}},
		"token too long":          {func(c *config.Config) { c.NATS.Token = strings.Repeat("t", 257) }, "[NATS] Token", "", []string{"256"}},
		"token for another's URL": {func(c *config.Config) { remote(c); c.NATS.Token = "t" }, "[NATS] Token", "[NATS] URL", []string{"only with the embedded server"}},

		"unknown isolation":      {func(c *config.Config) { c.Runtime.Isolation = "none" }, "[Runtime] Isolation", "", []string{`"none"`, `"clean" or "reuse" or "fresh"`}},
		"no pool":                {func(c *config.Config) { c.Runtime.PoolSize = 0 }, "[Runtime] PoolSize", "", []string{"0 is", "1 to 10000"}},
		"huge pool":              {func(c *config.Config) { c.Runtime.PoolSize = 10_001 }, "[Runtime] PoolSize", "", []string{"10001", "1 to 10000"}},
		"no instance TTL":        {func(c *config.Config) { c.Runtime.InstanceTTL = 0 }, "[Runtime] InstanceTTL", "", []string{"0s", "above 0"}},
		"nothing at once":        {func(c *config.Config) { c.Runtime.MaxConcurrent = 0 }, "[Runtime] MaxConcurrent", "", []string{"1 to 10000"}},
		"negative queue":         {func(c *config.Config) { c.Runtime.Queue = -1 }, "[Runtime] Queue", "", []string{"-1", "0 to 1048576"}},
		"no timeout":             {func(c *config.Config) { c.Runtime.Timeout = 0 }, "[Runtime] Timeout", "", []string{"above 0"}},
		"no time for OnInit":     {func(c *config.Config) { c.Runtime.InitTimeout = 0 }, "[Runtime] InitTimeout", "", []string{"0s", "above 0"}},
		"negative max timeout":   {func(c *config.Config) { c.Runtime.MaxTimeout = -time.Second }, "[Runtime] MaxTimeout", "", []string{"-1s", "above 0"}},
		"timeout above the most": {func(c *config.Config) { c.Runtime.Timeout = 61 * time.Second }, "[Runtime] Timeout", "[Runtime] MaxTimeout", []string{"1m1s", "1m0s"}},
		"memory below a page":    {func(c *config.Config) { c.Runtime.MaxMemory = 65535 }, "[Runtime] MaxMemory", "", []string{"65535", "64KiB to 4GiB"}},
		"memory above wasm": {func(c *config.Config) { c.Runtime.MaxMemory, c.Runtime.HostMemory = 4<<30+1, 8<<30 },
			"[Runtime] MaxMemory", "", []string{"4294967297", "64KiB to 4GiB"}},
		"memory above the host's":    {func(c *config.Config) { c.Runtime.HostMemory = 200_000_000 }, "[Runtime] MaxMemory", "[Runtime] HostMemory", []string{"256000000", "200000000"}},
		"no host memory":             {func(c *config.Config) { c.Runtime.HostMemory = 0 }, "[Runtime] HostMemory", "", []string{"above 0"}},
		"no compile timeout":         {func(c *config.Config) { c.Runtime.CompileTimeout = 0 }, "[Runtime] CompileTimeout", "", []string{"above 0"}},
		"too little to compile with": {func(c *config.Config) { c.Runtime.CompileMemory = 64<<20 - 1 }, "[Runtime] CompileMemory", "", []string{"64MiB or more"}},
		"no compile workers":         {func(c *config.Config) { c.Runtime.CompileWorkers = 0 }, "[Runtime] CompileWorkers", "", []string{"1 to 256"}},

		"override's isolation":   {override(config.RuntimeOverride{Isolation: new("none")}), "[Runtime.Plugin.my-plugin] Isolation", "", []string{`"none"`}},
		"override's pool":        {override(config.RuntimeOverride{PoolSize: new(0)}), "[Runtime.Plugin.my-plugin] PoolSize", "", []string{"1 to 10000"}},
		"override's TTL":         {override(config.RuntimeOverride{InstanceTTL: new(time.Duration(0))}), "[Runtime.Plugin.my-plugin] InstanceTTL", "", []string{"above 0"}},
		"override's concurrency": {override(config.RuntimeOverride{MaxConcurrent: new(0)}), "[Runtime.Plugin.my-plugin] MaxConcurrent", "", []string{"1 to 10000"}},
		"override's queue":       {override(config.RuntimeOverride{Queue: new(-1)}), "[Runtime.Plugin.my-plugin] Queue", "", []string{"0 to 1048576"}},
		"override's timeout":     {override(config.RuntimeOverride{Timeout: new(2 * time.Minute)}), "[Runtime.Plugin.my-plugin] Timeout", "[Runtime] MaxTimeout", []string{"2m0s", "1m0s"}},
		"override's own most": {override(config.RuntimeOverride{Timeout: new(2 * time.Second), MaxTimeout: new(time.Second)}),
			"[Runtime.Plugin.my-plugin] Timeout", "[Runtime.Plugin.my-plugin] MaxTimeout", []string{"2s", "1s"}},
		"override's most below the usual": {override(config.RuntimeOverride{MaxTimeout: new(time.Second)}),
			"[Runtime.Plugin.my-plugin] MaxTimeout", "[Runtime] Timeout", []string{"1s", "10s"}},
		"override's memory": {override(config.RuntimeOverride{MaxMemory: new(int64(3_000_000_000))}),
			"[Runtime.Plugin.my-plugin] MaxMemory", "[Runtime] HostMemory", []string{"3000000000"}},
		"twin overrides": {func(c *config.Config) {
			c.Runtime.Plugin = map[string]config.RuntimeOverride{"B": {}, "b": {}}
		}, "[Runtime.Plugin.b]", "", []string{`"B"`}},

		"empty zone":               {func(c *config.Config) { c.Scheduler.TimeZone = "" }, "[Scheduler] TimeZone", "", []string{`""`, "Europe/Berlin"}},
		"the machine's zone":       {func(c *config.Config) { c.Scheduler.TimeZone = "Local" }, "[Scheduler] TimeZone", "", []string{`"Local"`, "same zone"}},
		"unknown zone":             {func(c *config.Config) { c.Scheduler.TimeZone = "Mars/Base" }, "[Scheduler] TimeZone", "", []string{`"Mars/Base"`, "Europe/Berlin"}},
		"URL not http":             {func(c *config.Config) { c.Navidrome.URL = "music.example.test" }, "[Navidrome] URL", "", []string{`"music.example.test"`, "https://host"}},
		"URL with a user":          {func(c *config.Config) { c.Navidrome.URL = "http://u:p@h" }, "[Navidrome] URL", "", []string{"no user"}},
		"URL with a query":         {func(c *config.Config) { c.Navidrome.URL = "http://h/?q" }, "[Navidrome] URL", "", []string{"query"}},
		"header with a colon":      {func(c *config.Config) { c.Navidrome.UserHeader = "Remote: User" }, "[Navidrome] UserHeader", "", []string{"Remote-User"}},
		"no header":                {func(c *config.Config) { c.Navidrome.UserHeader = "" }, "[Navidrome] UserHeader", "", []string{`""`}},
		"share URL alone":          {func(c *config.Config) { c.Navidrome.ShareURL, c.Navidrome.User = "http://h", "joe" }, "[Navidrome] ShareURL", "[Navidrome] URL", []string{"fetched from Navidrome"}},
		"share URL without a user": {func(c *config.Config) { c.Navidrome.ShareURL, c.Navidrome.URL = "http://h", "http://n" }, "[Navidrome] ShareURL", "[Navidrome] User", []string{"as one of its users"}},
		"no room for a value":      {func(c *config.Config) { c.Cache.MaxValue = 0 }, "[Cache] MaxValue", "", []string{"0 bytes"}},
		"too many values":          {func(c *config.Config) { c.Cache.MaxEntries = 1<<20 + 1 }, "[Cache] MaxEntries", "", []string{"1048577"}},
		"negative copy":            {func(c *config.Config) { c.Cache.Copy = -1 }, "[Cache] Copy", "", []string{"-1"}},
		"share URL not http":       {func(c *config.Config) { c.Navidrome.ShareURL = "ftp://h" }, "[Navidrome] ShareURL", "", []string{`"ftp://h"`}},
		"unknown artwork":          {func(c *config.Config) { c.Navidrome.Artwork = "x" }, "[Navidrome] Artwork", "", []string{`"proxy" or "bus"`}},
		"unknown subsonic":         {func(c *config.Config) { c.Navidrome.Subsonic = "x" }, "[Navidrome] Subsonic", "", []string{`"http" or "bus"`}},
		"HTTP without port":        {func(c *config.Config) { c.HTTP.Listen = "localhost" }, "[HTTP] Listen", "", []string{`"localhost"`, "host:port"}},
		"HTTP token with line":     {func(c *config.Config) { c.HTTP.Token = "0123456789abcdef\r\nb" }, "[HTTP] Token", "", []string{"letters, digits"}},
		"HTTP token to be guessed": {func(c *config.Config) { c.HTTP.Token = "secret" }, "[HTTP] Token", "", []string{"can be guessed", "16 to 256"}},
		"a host with a port":       {func(c *config.Config) { c.HTTP.Hosts = []string{"a.example.test:80"} }, "[HTTP] Hosts", "", []string{`"a.example.test:80"`, "without a port"}},
		"any host":                 {func(c *config.Config) { c.HTTP.Hosts = []string{"*"} }, "[HTTP] Hosts", "", []string{`"*"`}},
		"an agent without an id":   {func(c *config.Config) { c.Agents.Order = []string{"lastfm", ""} }, "[Agents] Order", "", []string{`""`, "1 to 255 bytes"}},

		"a proxy by name":             {proxies("127.0.0.1", "proxy.example.test"), "[HTTP] TrustedProxies", "", []string{`"proxy.example.test"`, "10.0.0.0/8"}},
		"an empty proxy":              {proxies(""), "[HTTP] TrustedProxies", "", []string{`"" is no address`}},
		"a proxy with a port":         {proxies("127.0.0.1:80"), "[HTTP] TrustedProxies", "", []string{`"127.0.0.1:80"`}},
		"a range that is too long":    {proxies("10.0.0.0/33"), "[HTTP] TrustedProxies", "", []string{`"10.0.0.0/33"`}},
		"a proxy with a zone":         {proxies("fe80::1%eth0"), "[HTTP] TrustedProxies", "", []string{`"fe80::1%eth0"`}},
		"a proxy of IPv4 in IPv6":     {proxies("::ffff:10.0.0.1"), "[HTTP] TrustedProxies", "", []string{`"::ffff:10.0.0.1"`, "as IPv4"}},
		"a range of IPv4 in IPv6":     {proxies("::ffff:10.0.0.0/104"), "[HTTP] TrustedProxies", "", []string{`"::ffff:10.0.0.0/104"`, "as IPv4"}},
		"too many proxies":            {proxies(slices.Repeat([]string{"::1"}, 1001)...), "[HTTP] TrustedProxies", "", []string{"1001 entries", "1000"}},
		"no age of plays":             {func(c *config.Config) { c.Scrobbles.MaxAge = 0 }, "[Scrobbles] MaxAge", "", []string{"above 0"}},
		"ListenBrainz without a port": {func(c *config.Config) { c.ListenBrainz.Listen = "localhost" }, "[ListenBrainz] Listen", "", []string{"host:port"}},

		"an empty word":         {words([]string{"a", ""}, nil), `[Scrobbles.Plugin."my.plugin"] Retry`, "", []string{`""`, "1 to 512"}},
		"a long word":           {words(nil, []string{strings.Repeat("w", 513)}), `[Scrobbles.Plugin."my.plugin"] Final`, "", []string{`"www`, "513 bytes", "1 to 512"}},
		"too many words":        {words(slices.Repeat([]string{"a"}, 101), nil), `[Scrobbles.Plugin."my.plugin"] Retry`, "", []string{"101 entries", "100"}},
		"a word of both":        {words([]string{"a", "b"}, []string{"c", "b"}), `[Scrobbles.Plugin."my.plugin"] Final`, `[Scrobbles.Plugin."my.plugin"] Retry`, []string{`"b"`, "keep it in one"}},
		"twins with words":      {func(c *config.Config) { c.Scrobbles.Plugin = map[string]config.ScrobbleWords{"B": {}, "b": {}} }, "[Scrobbles.Plugin.b]", "", []string{`"B"`}},
		"words for an empty id": {func(c *config.Config) { c.Scrobbles.Plugin = map[string]config.ScrobbleWords{"": {}} }, `[Scrobbles.Plugin.""]`, "", []string{"empty"}},

		"a user without a name":     {users(joe, config.User{ID: "2"}), "[[Users]] 2: Name", "", []string{"missing", "Name", "ID"}},
		"a user without an ID":      {users(joe, config.User{Name: "Ann"}), "[[Users]] 2: ID", "", []string{"missing"}},
		"a user's name with a line": {users(config.User{Name: "a\nb", ID: "1"}), "[[Users]] 1: Name", "", []string{`"a\nb"`, "printable"}},
		"a user's name with spaces": {users(config.User{Name: " a", ID: "1"}), "[[Users]] 1: Name", "", []string{`" a"`, "without spaces"}},
		"a long name of a user":     {users(config.User{Name: strings.Repeat("n", 256), ID: "1"}), "[[Users]] 1: Name", "", []string{"255"}},
		"a long ID":                 {users(config.User{Name: "a", ID: strings.Repeat("1", 256)}), "[[Users]] 1: ID", "", []string{"255"}},
		"an ID with a tab":          {users(config.User{Name: "a", ID: "\t"}), "[[Users]] 1: ID", "", []string{`"\t"`, "printable"}},
		"a long display name":       {users(config.User{Name: "a", ID: "1", DisplayName: strings.Repeat("n", 256)}), "[[Users]] 1: DisplayName", "", []string{"255"}},
		"two users of one name":     {users(joe, config.User{Name: "JOE", ID: "2"}), "[[Users]] 2: Name", "[[Users]] 1: Name", []string{`"JOE" is the same user as "Joe" of [[Users]] 1`}},
		"names that case folds":     {users(config.User{Name: "ſ", ID: "1"}, config.User{Name: "S", ID: "2"}), "[[Users]] 2: Name", "[[Users]] 1: Name", []string{`"S"`, `"ſ"`}},
		"two users of one ID":       {users(joe, config.User{Name: "Ann", ID: "1"}), "[[Users]] 2: ID", "[[Users]] 1: ID", []string{`"1" is the ID of "Joe" of [[Users]] 1`}},
		"too many users":            {users(make([]config.User, 10_001)...), "[[Users]]", "", []string{"10001 users", "10000"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := completeConfig()
			tc.change(&c)
			found := faultsOf(t, c)
			if len(found) != 1 {
				t.Fatalf("want one fault, got %v", found)
			}
			if found[0].Key != tc.key || found[0].Against != tc.against {
				t.Errorf("the fault is at %q against %q, want %q against %q", found[0].Key, found[0].Against, tc.key, tc.against)
			}
			for _, part := range tc.text {
				if !strings.Contains(found[0].Text, part) {
					t.Errorf("%q does not say %q", found[0].Text, part)
				}
			}
		})
	}
}

func TestValidateAcceptsWhatIsAllowed(t *testing.T) {
	existing := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(existing, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*config.Config){
		"a cluster":         func(c *config.Config) { c.NATS.URL, c.NATS.Replicas = "nats://a:4222, tls://tok@b", 3 },
		"a bare server":     func(c *config.Config) { c.NATS.URL = "localhost:4222" },
		"WebSocket servers": func(c *config.Config) { c.NATS.URL = "ws://a,wss://b:443/" },
		"credentials and TLS": func(c *config.Config) {
			c.NATS.URL, c.NATS.Creds = "tls://u:p@[::1]:4222", existing
			c.NATS.TLS = config.TLS{CA: existing, Cert: existing, Key: existing}
		},
		"any free port":          func(c *config.Config) { c.NATS.Listen, c.HTTP.Listen = "127.0.0.1:0", ":0" },
		"localhost":              func(c *config.Config) { c.NATS.Listen = "localhost:4222" },
		"other loopbacks":        func(c *config.Config) { c.NATS.Listen = "127.8.9.1:4222" },
		"mapped loopback":        func(c *config.Config) { c.NATS.Listen = "[::ffff:127.0.0.1]:4222" },
		"IPv6 loopback":          func(c *config.Config) { c.NATS.Listen = "[::1]:4222" },
		"an open listen":         func(c *config.Config) { c.NATS.Listen, c.NATS.Token = "0.0.0.0:4222", "A-z.0_9~" },
		"an unused open listen":  func(c *config.Config) { c.NATS.Listen, c.NATS.URL = "0.0.0.0:4222", "nats://h" },
		"no HTTP":                func(c *config.Config) { c.HTTP.Listen = "" },
		"fresh instances":        func(c *config.Config) { c.Runtime.Isolation = "fresh" },
		"no queue":               func(c *config.Config) { c.Runtime.Queue = 0 },
		"one page of memory":     func(c *config.Config) { c.Runtime.MaxMemory = 64 << 10 },
		"all of wasm's memory":   func(c *config.Config) { c.Runtime.MaxMemory, c.Runtime.HostMemory = 4<<30, 4<<30 },
		"timeout at the most":    func(c *config.Config) { c.Runtime.Timeout = c.Runtime.MaxTimeout },
		"another zone":           func(c *config.Config) { c.Scheduler.TimeZone = "Europe/Berlin" },
		"Navidrome below a path": func(c *config.Config) { c.Navidrome.URL = "https://h:8443/music" },
		"everything over the bus": func(c *config.Config) {
			c.NATS.Storage, c.Navidrome.Artwork, c.Navidrome.Subsonic = "memory", "bus", "bus"
		},
		"proxies": func(c *config.Config) {
			c.HTTP.TrustedProxies = []string{"127.0.0.1", "10.1.2.3/8", "::1", "2001:db8::/32"}
		},
		"a thousand proxies": func(c *config.Config) { c.HTTP.TrustedProxies = slices.Repeat([]string{"::1"}, 1000) },
		"words": func(c *config.Config) {
			c.Scrobbles.Plugin = map[string]config.ScrobbleWords{"p": {Retry: slices.Repeat([]string{strings.Repeat("w", 512)}, 100), Final: []string{"a\nb"}}}
		},
		"users": func(c *config.Config) {
			c.Users = []config.User{{Name: "joe", ID: "1", DisplayName: " Joe ", Admin: true}, {Name: "ann", ID: "a b"}, {Name: "Ann B", ID: "A B", DisplayName: "Joe"}}
		},
		"plugins nobody has": func(c *config.Config) {
			c.PluginConfig = map[string]map[string]string{"no one's plugin": {"": ""}}
			c.Runtime.Plugin = map[string]config.RuntimeOverride{"none": {Timeout: new(time.Minute)}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := completeConfig()
			change(&c)
			if err := c.Validate(); err != nil {
				t.Errorf("refused: %v", err)
			}
		})
	}
}

func TestValidateReportsEveryFaultInTheOrderOfTheFields(t *testing.T) {
	bad := config.Config{
		Plugins:      config.Plugins{CacheSize: -1},
		PluginConfig: map[string]map[string]string{"b": {"k": "", "K": ""}, "a": {"k": "", "K": ""}},
		NATS: config.NATS{
			URL: "x://", Creds: "none", TLS: config.TLS{CA: "none", Cert: "none", Key: "none"}, Replicas: 9,
			Token: "?",
		},
		Runtime: config.Runtime{
			PoolSize: -1, MaxConcurrent: -1, Queue: -1,
			Plugin: map[string]config.RuntimeOverride{"y": {Queue: new(-1)}, "x": {Queue: new(-1), PoolSize: new(-1)}},
		},
		Cache:        config.Cache{Copy: -1},
		Scheduler:    config.Scheduler{MaxPayload: 500_001},
		Navidrome:    config.Navidrome{URL: "x", User: " x", ShareURL: "x", ArtworkListen: "x"},
		HTTP:         config.HTTP{Listen: "x", Token: "?", Hosts: []string{""}, TrustedProxies: []string{"x", "::1", "y"}},
		Agents:       config.Agents{Order: []string{""}},
		Scrobbles:    config.Scrobbles{MaxAge: -1, Plugin: map[string]config.ScrobbleWords{"y": {Final: []string{""}}, "x": {Retry: []string{"a"}, Final: []string{"", "a"}}}},
		ListenBrainz: config.ListenBrainz{Listen: "x"},
		Users:        []config.User{{DisplayName: "\n"}, {Name: "a", ID: "1"}, {Name: "A", ID: "1"}},
	}
	want := []string{
		"Name", "Data", "[Plugins] Folder", "[Plugins] CacheSize", "[PluginConfig.a] k", "[PluginConfig.b] k",
		"[NATS] URL", "[NATS] Creds", "[NATS.TLS] CA", "[NATS.TLS] Cert", "[NATS.TLS] Key", "[NATS] Replicas", "[NATS] Storage",
		"[NATS] Listen", "[NATS] Token", "[NATS] Token",
		"[Runtime] Isolation", "[Runtime] PoolSize", "[Runtime] InstanceTTL", "[Runtime] MaxConcurrent", "[Runtime] Queue",
		"[Runtime] Timeout", "[Runtime] MaxTimeout", "[Runtime] InitTimeout", "[Runtime] MaxMemory", "[Runtime] HostMemory", "[Runtime] CompileTimeout", "[Runtime] CompileMemory",
		"[Runtime] CompileWorkers", "[Runtime.Plugin.x] PoolSize", "[Runtime.Plugin.x] Queue", "[Runtime.Plugin.y] Queue",
		"[Cache] MaxValue", "[Cache] MaxEntries", "[Cache] MaxBytes", "[Cache] Copy", "[Cache] Staleness",
		"[Scheduler] TimeZone", "[Scheduler] MaxSchedules", "[Scheduler] MaxPayload",
		"[WebSocket] MaxConnections", "[WebSocket] MaxMessage", "[WebSocket] Ping", "[Navidrome] URL", "[Navidrome] UserHeader", "[Navidrome] User", "[Navidrome] ShareURL", "[Navidrome] ArtworkListen", "[Navidrome] Artwork",
		"[Navidrome] Subsonic", "[HTTP] Listen", "[HTTP] Token", "[HTTP] Hosts", "[HTTP] TrustedProxies", "[HTTP] TrustedProxies", "[Agents] Order",
		"[Scrobbles] MaxAge", "[Scrobbles] Unlinked", "[Scrobbles] MaxIntake", "[Scrobbles] MaxQueue", "[Scrobbles] MaxUser", "[Scrobbles] MaxUnlinked", "[Scrobbles] MaxDead",
		"[Scrobbles.Plugin.x] Final", "[Scrobbles.Plugin.x] Final", "[Scrobbles.Plugin.y] Final", "[ListenBrainz] Listen",
		"[[Users]] 1: Name", "[[Users]] 1: ID", "[[Users]] 1: DisplayName", "[[Users]] 3: Name", "[[Users]] 3: ID",
	}
	first := bad.Validate()
	if got := keysOf(faultsOf(t, bad)); !slices.Equal(got, want) {
		t.Errorf("faults at\n%q, want\n%q", got, want)
	}
	for range 20 {
		if again := bad.Validate(); again.Error() != first.Error() {
			t.Fatalf("the list changed from\n%v\nto\n%v", first, again)
		}
	}
	if lines := strings.Count(first.Error(), "\n") + 1; lines != len(want) {
		t.Errorf("the error has %d lines, want one for each of %d faults", lines, len(want))
	}
	var one *config.Fault
	if !errors.As(first, &one) || one.Key != "Name" {
		t.Errorf("errors.As finds %v, want the first fault", one)
	}
}

func TestFaultsNeverShowTokensOrPasswords(t *testing.T) {
	const secret = "s3cr3t"
	for name, change := range map[string]func(*config.Config){
		"NATS token":                func(c *config.Config) { c.NATS.Token = secret + " " },
		"NATS token beside a URL":   func(c *config.Config) { c.NATS.URL, c.NATS.Token = "nats://h", secret },
		"HTTP token":                func(c *config.Config) { c.HTTP.Token = secret + " " },
		"password in a NATS URL":    func(c *config.Config) { c.NATS.URL = "xats://user:" + secret + "@h" },
		"password with a slash":     func(c *config.Config) { c.NATS.URL = "nats://user:" + secret + "/x@h" },
		"password with a comma":     func(c *config.Config) { c.NATS.URL = "nats://user:" + secret + ",x@h" },
		"password of the first":     func(c *config.Config) { c.NATS.URL = "nats://" + secret + "@h,x://h" },
		"password without a scheme": func(c *config.Config) { c.NATS.URL = secret + "@h/path" },
		"password for Navidrome":    func(c *config.Config) { c.Navidrome.URL = "http://u:" + secret + "@h" },
		"plugin entries": func(c *config.Config) {
			c.PluginConfig = map[string]map[string]string{"p": {"k": secret, "K": secret}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := completeConfig()
			change(&c)
			err := c.Validate()
			if err == nil {
				t.Fatal("no fault")
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the secret is in %q", err)
			}
		})
	}
}

func TestPluginConfigIgnoresTheCaseOfIdsAndKeys(t *testing.T) {
	c := config.Config{PluginConfig: map[string]map[string]string{
		"My.Plugin": {"ApiKey": "one"}, "exact": {"k": "lower"}, "EXACT": {"k": "upper"},
	}}
	for id, want := range map[string]map[string]string{
		"My.Plugin": {"apikey": "one"},
		"my.plugin": {"apikey": "one"},
		"MY.PLUGIN": {"apikey": "one"},
		"exact":     {"k": "lower"},
		"EXACT":     {"k": "upper"},
		"Exact":     {"k": "upper"},
		"other":     {},
	} {
		if got := c.PluginConfigFor(id); got == nil || !maps.Equal(got, want) {
			t.Errorf("%q has %v, want %v", id, got, want)
		}
	}
}

func TestPluginConfigIsACopy(t *testing.T) {
	c := config.Config{PluginConfig: map[string]map[string]string{"p": {"k": "v"}}}
	c.PluginConfigFor("p")["k"] = "changed"
	if got := c.PluginConfigFor("p")["k"]; got != "v" {
		t.Errorf("a change to the copy made the entry %q", got)
	}
}

func TestAnOverrideReplacesWhatItNames(t *testing.T) {
	base := config.Default().Runtime
	base.Plugin = map[string]config.RuntimeOverride{
		"One": {Queue: new(0), Timeout: new(time.Second)},
		"all": {
			Isolation: new("fresh"), PoolSize: new(1), InstanceTTL: new(2 * time.Second), MaxConcurrent: new(3), Queue: new(4),
			Timeout: new(5 * time.Second), MaxTimeout: new(6 * time.Second), MaxMemory: new(int64(7)),
		},
	}
	none := base
	none.Plugin = nil
	one := none
	one.Queue, one.Timeout = 0, time.Second
	all := none
	all.Isolation, all.PoolSize, all.InstanceTTL, all.MaxConcurrent = "fresh", 1, 2*time.Second, 3
	all.Queue, all.Timeout, all.MaxTimeout, all.MaxMemory = 4, 5*time.Second, 6*time.Second, 7
	for id, want := range map[string]config.Runtime{"other": none, "one": one, "ONE": one, "all": all} {
		if got := base.For(id); !reflect.DeepEqual(got, want) {
			t.Errorf("%q runs with %+v, want %+v", id, got, want)
		}
	}
	if base.Queue != 256 || len(base.Plugin) != 2 {
		t.Errorf("asking changed the settings of all plugins: %+v", base)
	}
}

func TestConfigKeyIsWrittenAsInTheFile(t *testing.T) {
	for want, path := range map[string][]string{
		"":                                    {},
		"Data":                                {"Data"},
		"[NATS.TLS] CA":                       {"NATS", "TLS", "CA"},
		`[PluginConfig."my.plugin"] a_b`:      {"PluginConfig", "my.plugin", "a_b"},
		`[PluginConfig."a\nb"] ""`:            {"PluginConfig", "a\nb", ""},
		`[PluginConfig.p] "é"`:                {"PluginConfig", "p", "é"},
		`"x` + strings.Repeat("é", 59) + `"…`: {"x" + strings.Repeat("é", 100)},
		`"` + strings.Repeat("k", 120) + `"…`: {strings.Repeat("k", 1000)},
	} {
		if got := config.Key(path...); got != want {
			t.Errorf("%q is written %s, want %s", path, got, want)
		}
	}
}
