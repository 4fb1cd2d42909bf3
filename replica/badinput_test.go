package replica_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/schema"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/soak/abuse"
)

const biography = "get_artist_biography"

// longError is a method that returns an error of half a megabyte, each byte of
// which takes six in JSON.
var longError = []byte{
	0x41, 0x08, 0x41, 0x01, 0x41, 0x80, 0x80, 0x20, 0xfc, 0x0b, 0x00, // memory.fill: 1<<19 bytes of 0x01 at address 8
	0x42, 0x80, 0x80, 0x20, // i64.const 1<<19
	0x42, 0x80, 0x80, 0x80, 0x80, 0x08, 0x84, // i64.const 1<<31, i64.or
	0x42, 0x08, 0x42, 0x20, 0x86, 0x84, // i64.const 8, i64.const 32, i64.shl, i64.or
}

// echo is a plugin that returns every request.
var echo = guests.Handmade{Body: guests.Echo}.Bytes()

// addBystander prepares a replica with abuse.Bystander alone.
func addBystander(t *testing.T) func(*setup) {
	t.Helper()
	return func(c *setup) {
		testenv.AddPlugin(t, c.Plugins.Folder, abuse.Bystander, testenv.Manifest(nil, "MetadataAgent"), echo)
	}
}

func TestPluginThatCannotBeLoadedSaysWhyAndHarmsNobody(t *testing.T) {
	t.Parallel()
	manifest := testenv.Manifest(nil, "MetadataAgent")
	lifecycle := testenv.Manifest(map[string]any{"config": map[string]any{"reason": "test"}}, "MetadataAgent", "LifecycleManagement")
	lifecycleWasm := guests.Wasm(t, guests.Lifecycle)
	cases := []struct {
		id             string
		manifest, wasm []byte
		says           []string
	}{
		{"no-manifest", nil, echo, []string{"manifest.json", "put the plugin's manifest into this folder"}},
		{"no-wasm", manifest, nil, []string{"no plugin.wasm found", "put the built plugin into this folder"}},
		{"broken-manifest", []byte(`{"name":`), echo, []string{"failed to load manifest"}},
		{"incomplete-manifest", []byte(`{"name":"x"}`), echo, []string{"capabilities: is missing"}},
		{"wrong-capability", testenv.Manifest(nil, "MetadataAgnet"), echo, []string{`did you mean "MetadataAgent"?`}},
		{"not-wasm", manifest, []byte("#!/bin/sh\n"), []string{"not a WebAssembly module", "build it with GOOS=wasip1"}},
		{"empty-wasm", manifest, []byte{}, []string{"not a WebAssembly module", "build it with GOOS=wasip1"}},
		{"truncated-wasm", manifest, echo[:len(echo)/2], []string{"not a valid WebAssembly module", "build or copy it again"}},
		{"header-only", manifest, echo[:8], []string{"memory is not exported", "build with -buildmode=c-shared"}},
		{"no-malloc", manifest, guests.Handmade{Omit: "malloc"}.Bytes(), []string{"malloc is not exported", "build with -buildmode=c-shared"}},
		{"no-memory", manifest, guests.Handmade{Omit: "memory"}.Bytes(), []string{"memory is not exported"}},
		{"no-method", testenv.Manifest(nil, "MetadataAgent", "Scrobbler"), echo, []string{"scrobbler_api_version is not exported", "every method of the capabilities in its manifest"}},
		{"wrong-version", manifest, guests.Handmade{Version: 2}.Bytes(), []string{"API version mismatch, host: 1, plugin: 2", "build the plugin against this version"}},
		{"unknown-import", manifest, guests.Handmade{Imports: []string{"format_disk"}}.Bytes(), []string{`"format_disk" is not exported in module "env"`, "no host service has this function"}},
		{"too-much-memory", manifest, guests.Handmade{Pages: 60_000}.Bytes(), []string{"MaxMemory"}},
		{"traps-at-once", manifest, guests.Handmade{Initialize: guests.Trap}.Bytes(), []string{"the module does not initialise", "unreachable"}},
		{"init-go-error", lifecycle, lifecycleWasm, []string{"OnInit: initialization failed", `[PluginConfig.init-go-error]`}},
		{"init-response-error", lifecycle, lifecycleWasm, []string{"OnInit: initialization failed", `[PluginConfig.init-response-error]`}},
		{"init-panic", lifecycle, lifecycleWasm, []string{"OnInit: "}},
		{"init-loop", lifecycle, lifecycleWasm, []string{"OnInit: the guest was stopped", "[Runtime] InitTimeout (300ms)"}},
	}
	w := start(t, nil, func(c *setup) {
		for _, k := range cases {
			testenv.AddPlugin(t, c.Plugins.Folder, k.id, k.manifest, k.wasm)
		}
		if err := os.WriteFile(filepath.Join(c.Plugins.Folder, "readme.txt"), []byte("no plugin"), 0o600); err != nil {
			t.Fatal(err)
		}
		testenv.AddPlugin(t, c.Plugins.Folder, abuse.Bystander, manifest, echo)
		c.PluginConfig = map[string]map[string]string{
			"init-go-error":       {"returnerror": "go_error"},
			"init-response-error": {"returnerror": "response_error"},
			"init-panic":          {"returnerror": "panic"},
			"init-loop":           {"returnerror": "loop"},
		}
		short := 300 * time.Millisecond
		c.Runtime.Plugin = map[string]config.RuntimeOverride{"init-loop": {InitTimeout: &short}}
	})
	for _, k := range cases {
		t.Run(k.id, func(t *testing.T) {
			ctx := w.context(t)
			_, err := w.caller.Client.Call(ctx, k.id, biography, nil)
			if !errors.Is(err, subjects.ErrUnavailable) {
				t.Fatalf("a call got %v, want unavailable", err)
			}
			status := w.plugin(t, k.id)
			if status.State != subjects.StateFailed {
				t.Errorf("the state is %s", status.State)
			}
			for _, part := range k.says {
				if !strings.Contains(err.Error(), part) || !strings.Contains(status.Error, part) {
					t.Errorf("no %q\nin what the caller sees: %v\nor what status says: %v", part, err, status.Error)
				}
			}
			w.good(t, abuse.Bystander)

			testenv.AddPlugin(t, w.folder, k.id, manifest, echo)
			if err := w.Refresh(ctx, k.id); err != nil {
				t.Fatalf("mended and refreshed: %v", err)
			}
			w.good(t, k.id)
			if status := w.plugin(t, k.id); status.State != subjects.StateReady || status.Error != "" {
				t.Errorf("mended, but its status is %s with the error %q", status.State, status.Error)
			}
		})
	}
}

func TestGuestThatInitialisesWithoutEndIsGivenUp(t *testing.T) {
	t.Parallel()
	w := start(t, nil, func(c *setup) {
		c.Runtime.CompileTimeout = 3 * time.Second
		testenv.AddPlugin(t, c.Plugins.Folder, "endless", testenv.Manifest(nil, "MetadataAgent"), guests.Handmade{Initialize: guests.Loop[:5]}.Bytes())
		testenv.AddPlugin(t, c.Plugins.Folder, abuse.Bystander, testenv.Manifest(nil, "MetadataAgent"), echo)
	})
	_, err := w.caller.Client.Call(w.context(t), "endless", biography, nil)
	if !errors.Is(err, subjects.ErrUnavailable) || !strings.Contains(err.Error(), "does not initialise") || !strings.Contains(err.Error(), "[Runtime] CompileTimeout (3s)") {
		t.Errorf("a call got %v", err)
	}
	w.good(t, abuse.Bystander)
}

// permissions are valid settings of each permission.
func permissions(name string) map[string]any {
	settings := map[string]any{"reason": "test"}
	switch name {
	case "http":
		settings["allowedUrls"] = map[string][]string{"https://example.com": {"GET"}}
	case "websocket":
		settings["allowedUrls"] = []string{"wss://example.com"}
	}
	return map[string]any{name: settings}
}

func TestImportsOfHostServicesNeedTheirPermission(t *testing.T) {
	t.Parallel()
	w := start(t, nil, func(c *setup) {
		for _, service := range schema.Navidrome058().HostServices() {
			wasm := guests.Handmade{Imports: service.Functions[:1], Body: guests.CallImport}.Bytes()
			testenv.AddPlugin(t, c.Plugins.Folder, service.Permission+"-refused", testenv.Manifest(nil, "MetadataAgent"), wasm)
			testenv.AddPlugin(t, c.Plugins.Folder, service.Permission+"-granted", testenv.Manifest(permissions(service.Permission), "MetadataAgent"), wasm)
		}
	})
	for _, service := range schema.Navidrome058().HostServices() {
		t.Run(service.Permission, func(t *testing.T) {
			refused := w.plugin(t, service.Permission+"-refused")
			if want := fmt.Sprintf("add %q to the permissions in manifest.json", service.Permission); refused.State != subjects.StateFailed || !strings.Contains(refused.Error, want) {
				t.Errorf("not granted, it is %s: %s", refused.State, refused.Error)
			}
			granted := w.plugin(t, service.Permission+"-granted")
			want := fmt.Sprintf("this version of pluginhost does not offer the host service %q", service.Permission)
			if granted.State != subjects.StateReady && !strings.Contains(granted.Error, want) {
				t.Errorf("granted, it is %s: %s", granted.State, granted.Error)
			}
		})
	}
}

func TestPluginsWhoseNamesAreNoTokensAreServed(t *testing.T) {
	t.Parallel()
	ids := []string{"My Plugin.v2", "über", "*", ">", "a=2Eb", "\u200b", "line\nbreak", "not \xff UTF-8", strings.Repeat(".x", 127)[1:], strings.Repeat("=", 255)}
	w := start(t, nil, func(c *setup) {
		for _, id := range ids {
			testenv.AddPlugin(t, c.Plugins.Folder, id, testenv.Manifest(nil, "MetadataAgent"), echo)
		}
	})
	for _, id := range ids {
		t.Run(subjects.Token(id)[:min(20, len(subjects.Token(id)))], func(t *testing.T) {
			w.good(t, id)
			// What only goes into a text must not break its header.
			_, err := w.caller.Client.Call(w.context(t), id, "is_authorized", nil)
			if !errors.Is(err, subjects.ErrNotImplemented) {
				t.Errorf("a method that it lacks: %v", err)
			}
		})
	}
}

func TestBodiesReachTheGuestUntouched(t *testing.T) {
	t.Parallel()
	w := start(t, nil, func(c *setup) {
		testenv.AddPlugin(t, c.Plugins.Folder, abuse.Bystander, testenv.Manifest(nil, "MetadataAgent"), guests.Handmade{Body: guests.Echo, Pages: 20}.Bytes())
	})
	for name, body := range map[string]string{
		"nothing":                     "",
		"garbage":                     "\xff\xfe\x00 garbage",
		"text that is not UTF-8":      "\x0a\x03a\xffb",
		"a line break, then a brace":  "\x0a{" + strings.Repeat("x", '{'),
		"a space, then JSON":          ` {"name":"x"}`,
		"a line break, then JSON":     "\n{\"name\":\"x\"}",
		"a byte order mark, then it":  "\ufeff{}",
		"an array":                    "[]",
		"as much as a message allows": strings.Repeat("x", 1<<20-1024),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := w.caller.Client.Call(w.context(t), abuse.Bystander, biography, []byte(body))
			if err != nil || string(got) != body {
				t.Errorf("sent %d bytes %.40q, got %d bytes %.40q, %v", len(body), body, len(got), got, err)
			}
		})
	}
}

func TestJSONRepliesAreInTheContractsForm(t *testing.T) {
	t.Parallel()
	w := start(t, nil, func(c *setup) {
		testenv.AddPlugin(t, c.Plugins.Folder, abuse.Probe, testenv.Manifest(nil, "MetadataAgent", "Scrobbler"), guests.Wasm(t, guests.Probe))
	})
	for _, c := range []struct {
		name, method, body, contentType, want string
	}{
		{"by its first byte", biography, `{"name":"x"}`, "", `{"biography":"biography of x"}`},
		{"by its content type", biography, "\n {\"name\":\"x\"}", subjects.ContentTypeJSON, `{"biography":"biography of x"}`},
		{"by another content type, but its first byte", biography, `{"name":"x"}`, "text/plain", `{"biography":"biography of x"}`},
		{"fields in lowerCamelCase", "is_authorized", `{"userId":"1","username":"u"}`, "", `{"authorized":true}`},
		{"fields as in the contract", "is_authorized", `{"user_id":"1","username":"u"}`, "", `{"authorized":true}`},
		{"defaults are left out", "is_authorized", `{}`, "", `{}`},
		{"text that is not UTF-8 is mended", biography, `{"name":"bytes"}`, "", `{"biography":"a�b"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			msg := nats.NewMsg(subjects.Call(abuse.Probe, c.method))
			msg.Data = []byte(c.body)
			if c.contentType != "" {
				msg.Header.Set(subjects.HeaderContentType, c.contentType)
			}
			reply, err := w.caller.Conn.RequestMsgWithContext(w.context(t), msg)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := json.Compact(&got, reply.Data); err != nil {
				t.Fatalf("%v: %q %v", err, reply.Data, reply.Header)
			}
			if got.String() != c.want || reply.Header.Get(subjects.HeaderContentType) != subjects.ContentTypeJSON {
				t.Errorf("got %s as %q, want %s", got.String(), reply.Header.Get(subjects.HeaderContentType), c.want)
			}
		})
	}
	t.Run("binary stays binary", func(t *testing.T) {
		request, _ := (&api.ArtistBiographyRequest{Name: "bytes"}).MarshalVT()
		reply, err := w.caller.Conn.RequestWithContext(w.context(t), subjects.Call(abuse.Probe, biography), request)
		if err != nil || string(reply.Data) != "\x0a\x03a\xffb" || reply.Header.Get(subjects.HeaderContentType) != "" {
			t.Errorf("got %v, %v", reply, err)
		}
	})
}

func TestErrorTextsFitTheirHeader(t *testing.T) {
	t.Parallel()
	w := start(t, nil, func(c *setup) { abuse.Install(t, &c.Config) })
	long := strings.Repeat("long ", 100_000)
	for name, c := range map[string]struct{ text, want string }{
		"line breaks and NUL": {"one\r\ntwo\x00three\nfour", "one  two three four"},
		"header injection":    {"x\r\nNats-Service-Error-Code: 404\r\n\r\nbody", "x  Nats-Service-Error-Code: 404    body"},
		"a very long one":     {long, strings.TrimSpace(long[:8<<10])},
		"only spaces":         {" ", ""},
		"not UTF-8":           {"\xff\xfe", "\xff\xfe"},
		// Only the exact texts mean something.
		"nearly not found": {"plugin:not_found\n", "plugin:not_found"},
	} {
		t.Run(name, func(t *testing.T) {
			agent := w.caller.Client.MetadataAgent(abuse.Probe)
			_, err := agent.GetArtistBiography(w.context(t), &api.ArtistBiographyRequest{Name: "error " + c.text})
			var failure *subjects.Error
			if !errors.As(err, &failure) || failure.Code() != 500 || failure.Text != c.want {
				t.Errorf("got %.200q, want 500 with %.200q", fmt.Sprint(err), c.want)
			}
			if errors.Is(err, api.ErrNotFound) {
				t.Error("it is taken for api.ErrNotFound")
			}
		})
	}
	w.good(t, abuse.Probe)
}

func TestPluginsWithLongTextsLeaveStatusReadable(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("endless ", 130_000) // just below what a manifest may have
	manifest := bytes.Replace(testenv.Manifest(nil, "MetadataAgent"), []byte("A plugin for tests."), []byte(long[:1_040_000]), 1)
	w := start(t, nil, func(c *setup) {
		testenv.AddPlugin(t, c.Plugins.Folder, "long", manifest, guests.Handmade{Body: longError, Pages: 20}.Bytes())
		testenv.AddPlugin(t, c.Plugins.Folder, "failing", testenv.Manifest(nil, "LifecycleManagement"),
			guests.Handmade{Capabilities: []string{"LifecycleManagement"}, Body: longError, Pages: 20}.Bytes())
	})
	ctx := w.context(t)
	if _, err := w.caller.Client.Call(ctx, "long", biography, nil); !errors.Is(err, subjects.ErrPlugin) {
		t.Fatal(err)
	}
	if _, err := w.caller.Client.Call(ctx, "failing", biography, nil); !errors.Is(err, subjects.ErrUnavailable) || !strings.Contains(err.Error(), "OnInit") {
		t.Errorf("a call of the plugin that failed: %.200v", err)
	}
	if statuses, err := w.caller.Client.Status(ctx); err != nil || len(statuses) != 1 || len(statuses[0].Plugins) != 2 {
		t.Errorf("status: %v, %v", statuses, err)
	}
	if plugins, err := w.caller.Client.Plugins(ctx, ""); err != nil || len(plugins) == 0 {
		t.Errorf("list: %v, %v", plugins, err)
	}
	for _, verb := range []string{"PING", "INFO", "STATS"} {
		if _, err := w.caller.Conn.RequestWithContext(ctx, "$SRV."+verb+".long", nil); err != nil {
			t.Errorf("%s: %v", verb, err)
		}
	}
}

func TestMadeUpMethodsDoNotHideTheCallsOfRealOnes(t *testing.T) {
	t.Parallel()
	w := start(t, nil, addBystander(t))
	ctx := w.context(t)
	for i := range 200 {
		if _, err := w.caller.Client.Call(ctx, abuse.Bystander, fmt.Sprintf("method_%d", i), nil); !errors.Is(err, subjects.ErrBadRequest) {
			t.Fatal(err)
		}
	}
	w.good(t, abuse.Bystander)
	reply, err := w.caller.Conn.RequestWithContext(ctx, "$SRV.STATS."+abuse.Bystander, nil)
	if err != nil {
		t.Fatal(err)
	}
	var stats micro.Stats
	if err := json.Unmarshal(reply.Data, &stats); err != nil {
		t.Fatal(err)
	}
	for _, endpoint := range stats.Endpoints {
		if endpoint.Name == biography && endpoint.NumRequests != 1 {
			t.Errorf("%d calls of %s are counted, want 1", endpoint.NumRequests, biography)
		}
	}
	if calls := w.plugin(t, abuse.Bystander).Calls; calls.Requests != 201 || calls.Errors != 200 {
		t.Errorf("status counts %d requests and %d errors, want 201 and 200", calls.Requests, calls.Errors)
	}
}

// raw speaks the NATS protocol itself, so that nothing holds it back.
func raw(t *testing.T, server string, commands ...string) {
	t.Helper()
	address, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", address.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	commands = append([]string{`CONNECT {"verbose":false,"headers":true,"protocol":1}` + "\r\n"}, commands...)
	if _, err := conn.Write([]byte(strings.Join(commands, "") + "PING\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	buffer := make([]byte, 4096)
	for !strings.Contains(got.String(), "PONG") && !strings.Contains(got.String(), "-ERR") {
		n, err := conn.Read(buffer)
		if err != nil {
			t.Fatalf("%v after %q", err, got.String())
		}
		got.Write(buffer[:n])
	}
	if strings.Contains(got.String(), "-ERR") {
		t.Fatalf("the server refuses it: %s", got.String())
	}
}

func TestMessagesOfOddClientsDoNotCostTheHostItsConnection(t *testing.T) {
	t.Parallel()
	w := start(t, nil, addBystander(t))
	subject := subjects.Call(abuse.Bystander, biography)
	shortest := "plugins.p.x"
	testenv.AddPlugin(t, w.folder, "p", testenv.Manifest(nil, "MetadataAgent"), echo)
	if err := w.Refresh(w.context(t), "p"); err != nil {
		t.Fatal(err)
	}
	// The server takes 4096 bytes as one line.
	inbox := func(subject string, size string) string {
		return strings.Repeat("x", 4096-len(subject)-len(size)-2)
	}
	for name, command := range map[string]string{
		"the longest reply subject":              "PUB " + shortest + " " + inbox(shortest, "0") + " 0\r\n\r\n",
		"the longest reply subject of a status":  "PUB $SRV.PING " + inbox("$SRV.PING", "0") + " 0\r\n\r\n",
		"the longest method":                     "PUB plugins.p." + strings.Repeat("m", 4096-len("plugins.p.")-len(" i 0")) + " i 0\r\n\r\n",
		"a reply that calls again":               "PUB " + subject + " " + subject + " 4\r\nabcd\r\n",
		"a reply that asks for status":           "PUB pluginhost.ctl.status pluginhost.ctl.status 0\r\n\r\n",
		"a reply to a wildcard":                  "PUB " + subject + " a.*.> 4\r\nabcd\r\n",
		"no reply":                               "PUB " + subject + " 4\r\nabcd\r\n",
		"a header without its version":           "HPUB " + subject + " inbox 10 14\r\nnonsense\r\nabcd\r\n",
		"a header that is no header":             "HPUB " + subject + " inbox 21 25\r\nNATS/1.0\r\nnonsens\r\n\r\nabcd\r\n",
		"a header with an inline status":         "HPUB " + subject + " inbox 16 20\r\nNATS/1.0 503\r\n\r\nabcd\r\n",
		"a control request about no token":       "PUB pluginhost.ctl.info.%%% inbox 0\r\n\r\n",
		"a refresh of a path":                    "PUB pluginhost.ctl.refresh.=2E=2E=2Fetc inbox 0\r\n\r\n",
		"a discovery request with a long name":   "PUB $SRV.PING." + strings.Repeat("x", 4000) + " inbox 0\r\n\r\n",
		"a message to the bucket of heartbeats":  "PUB $KV.pluginhost-state.replica.ghost 7\r\n{\"v\":2}\r\n",
		"a message of a replica without content": "PUB $KV.pluginhost-state.replica.ghost2 0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			raw(t, w.URL(), command)
			w.good(t, abuse.Bystander)
		})
	}
	t.Run("the connection was never lost", func(t *testing.T) {
		reply, err := w.caller.Conn.Request("$SRV.PING", nil, patience)
		if err != nil {
			t.Fatal(err)
		}
		if !w.Status().Ready || len(reply.Data) == 0 {
			t.Error("the replica is not ready")
		}
	})
}

func TestControlRequestsAboutUnknownPlugins(t *testing.T) {
	t.Parallel()
	w := start(t, nil, addBystander(t))
	ctx := w.context(t)
	for _, id := range []string{"nobody", "..", "../x", "a/b", "", strings.Repeat("x", 1000)} {
		infos, err := w.caller.Client.Info(ctx, id)
		if err != nil || len(infos) != 1 || infos[0].Plugin != nil {
			t.Errorf("info of %.20q: %v, %v", id, infos, err)
		}
		refreshed, err := w.caller.Client.Refresh(ctx, id)
		if err != nil || len(refreshed) != 1 || refreshed[0].Plugin != nil {
			t.Errorf("refresh of %.20q: %v, %v", id, refreshed, err)
		}
	}
	w.good(t, abuse.Bystander)
}

func TestErrorsAndAnswersFitASmallServersMessages(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t, func(o *server.Options) { o.MaxPayload = 4096 })
	config := testenv.Config(t, url, t.TempDir())
	testenv.AddPlugin(t, config.Plugins.Folder, "long", testenv.Manifest(nil, "MetadataAgent"), guests.Handmade{Body: longError, Pages: 20}.Bytes())
	testenv.AddPlugin(t, config.Plugins.Folder, abuse.Bystander, testenv.Manifest(nil, "MetadataAgent"), echo)
	w := world{testenv.Start(t, config, nil), abuse.NewCaller(testenv.Connect(t, url)), ""}
	if _, err := w.caller.Client.Call(w.context(t), abuse.Bystander, biography, make([]byte, 3500)); !errors.Is(err, subjects.ErrTooLarge) {
		t.Errorf("an answer that leaves no room for headers: %.200v", err)
	}
	if _, err := w.caller.Client.Call(w.context(t), "long", biography, nil); !errors.Is(err, subjects.ErrTooLarge) {
		t.Errorf("an error that is longer than a message: %.200v", err)
	}
	unknownField := `{"` + strings.Repeat("x", 3960) + `":1}`
	if _, err := w.caller.Client.CallJSON(w.context(t), abuse.Bystander, biography, []byte(unknownField), patience); !errors.Is(err, subjects.ErrBadRequest) {
		t.Errorf("an error of the host that is as long as a message: %.200v", err)
	}
	w.good(t, abuse.Bystander)
}
