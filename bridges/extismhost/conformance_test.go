package extismhost_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	extism "github.com/extism/go-sdk"

	"github.com/pluginhost/pluginhost/bridges/extismhost"
)

func TestConformance(t *testing.T) {
	g := compileGuests(t)
	for name, check := range map[string]func(*testing.T, *guests){
		"blocks have handles and lengths":                       checkBlocks,
		"input of any length arrives":                           checkInput,
		"the error text wins over the code":                     checkOutcomes,
		"a caller that gives up has its own error":              checkGivenUp,
		"an output is decoded, that of a void function as well": checkDecoding,
		"nothing stays from call to call":                       checkState,
		"absent and empty settings are the same to the kernel":  checkSettings,
		"what is logged has a level":                            checkLogs,
		"an instance is initialised once, after the input":      checkInitialisation,
		"Go is initialised for each call, and its clock jumps":  checkGo,
		"imports may come twice, or not at all":                 checkImports,
		"the kernel's HTTP traps":                               checkKernelHTTP,
		"manifests are checked":                                 checkManifests,
	} {
		t.Run(name, func(t *testing.T) { check(t, g) })
	}
	t.Run("services", func(t *testing.T) { checkServices(t, g) })
}

func checkBlocks(t *testing.T, g *guests) {
	plugin := g.load(t, "kernel", extismhost.Options{})
	for _, c := range []call{
		{export: "blocks", output: "abcde xyz"},
		{export: "lengths", output: "5 0 0 5 0 0"},
		{export: "no_block", output: "0 0 0"},
		{export: "word", output: "true 136 17"},
		{export: "load_outside", failure: "could not read value at offset: "},
		{export: "store_outside", failure: "could not write value '1' at offset: 2147483632"},
		{export: "byte_outside", output: "0"},
		{export: "output_twice", output: "second"},
		{export: "output_nothing", output: "kept"},
		{export: "output_freed", output: "freed"},
		{export: "full", failure: "Variable store is full"},
	} {
		c.check(t, plugin)
	}
}

func checkInput(t *testing.T, g *guests) {
	plugin := g.load(t, "kernel", extismhost.Options{})
	for _, length := range []int{0, 1, 7, 8, 9, 63, 10 << 20} {
		input := bytes.Repeat([]byte("0123456789a"), length/11+1)[:length]
		output, err := plugin.OutputOf(t.Context(), "echo", input)
		if err != nil || !bytes.Equal(output, input) {
			t.Errorf("%d bytes: %d came back, %v", length, len(output), err)
		}
	}
	call{export: "empty_input", output: "0 0 0"}.check(t, plugin)
	call{export: "echo", input: "{}", output: "{}"}.check(t, plugin)
	if output, err := plugin.Output(t.Context(), "echo", nil); err != nil || string(output) != "{}" {
		t.Errorf("without a request the input is %q, %v", output, err)
	}
}

func checkOutcomes(t *testing.T, g *guests) {
	plugin := g.load(t, "kernel", extismhost.Options{Timeout: short})
	for _, c := range []call{
		{export: "error_0", failure: "plugin call failed: went wrong"},
		{export: "error_minus_2", failure: "plugin call failed: went wrong"},
		{export: "error_cleared", output: "went wrong 0"},
		{export: "error_freed"},
		{export: "minus_1", failure: "plugin call exited with code 4294967295"},
		{export: "wide"},
		{export: "no_result", output: "no result"},
		{export: "exit_0", output: "before the exit"},
		{export: "exit_0_error", failure: "plugin call failed: went wrong"},
		{export: "exit_7", failure: "plugin call failed: module closed with exit_code(7)"},
		{export: "panics", failure: "plugin call failed: wasm error: unreachable\nwasm stack trace:"},
		{export: "loops", failure: "plugin call failed: module closed with context deadline exceeded"},
		{export: "parameter", failure: "plugin call failed: expected 1 params, but passed 0"},
	} {
		c.check(t, plugin)
	}
	for _, export := range []string{"minus_2", "wide_minus_2"} {
		if err := plugin.Call(t.Context(), export, nil, nil); !errors.Is(err, extismhost.ErrNotImplemented) {
			t.Errorf("%s: %v", export, err)
		}
	}
	if err := plugin.Call(t.Context(), "nobody_has_it", nil, nil); !errors.Is(err, extismhost.ErrNoFunction) {
		t.Error(err)
	}
	for text, want := range map[string]extismhost.Outcome{
		"":                       extismhost.Taken,
		"scrobbler(retry_later)": extismhost.Kept,
		"a scrobbler(retry_later) b scrobbler(not_authorized)": extismhost.Discarded,
		"scrobbler(unrecoverable) scrobbler(retry_later)":      extismhost.Kept,
		"scrobbler(unrecoverable)":                             extismhost.Discarded,
		"anything else":                                        extismhost.Discarded,
	} {
		var err error
		if text != "" {
			err = errors.New(text)
		}
		if got := extismhost.OutcomeOf(err); got != want {
			t.Errorf("a play whose call ended with %q is %v, want %v", text, got, want)
		}
	}
}

func checkGivenUp(t *testing.T, g *guests) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	plugin := g.load(t, "services", extismhost.Options{Send: func([]byte) []byte {
		cancel()
		return []byte("{}")
	}})
	for _, when := range []string{"in the midst of the call", "before it"} {
		// Nothing of the plugin's is in it.
		if err := plugin.Call(ctx, "http_send", nil, nil); err == nil || err.Error() != context.Canceled.Error() {
			t.Errorf("%s: %v", when, err)
		}
	}
}

func checkDecoding(t *testing.T, g *guests) {
	plugin := g.load(t, "kernel", extismhost.Options{})
	for input, fails := range map[string]bool{`null`: false, `{}`: false, `{"a":1}`: false, `true`: true, `"x"`: true, `[]`: true} {
		if err := plugin.Call(t.Context(), "passes", json.RawMessage(input), nil); (err != nil) != fails {
			t.Errorf("a void function with the output %s: %v", input, err)
		}
	}
	if err := plugin.Call(t.Context(), "output_twice", nil, nil); err == nil {
		t.Error("an output that is no JSON is taken")
	}
	var size struct{ Size int }
	for input, fails := range map[string]bool{`{"SIZE":3,"other":[]}`: false, `{"size":null}`: false, `{"size":3.0}`: true, `{"size":1e30}`: true} {
		if err := plugin.Call(t.Context(), "passes", json.RawMessage(input), &size); (err != nil) != fails {
			t.Errorf("%s as a result: %v", input, err)
		}
	}
}

func checkState(t *testing.T, g *guests) {
	plugin := g.load(t, "kernel", extismhost.Options{})
	for range 3 {
		call{export: "state", output: "0 absent set 0"}.check(t, plugin)
	}
	var calls sync.WaitGroup
	for range 20 {
		calls.Go(func() { call{export: "state", output: "0 absent set 0"}.check(t, plugin) })
	}
	calls.Wait()
}

func checkSettings(t *testing.T, g *guests) {
	plugin := g.load(t, "kernel", extismhost.Options{Config: map[string]string{"url": "http://x", "empty": ""}})
	for _, c := range []call{
		{export: "setting", input: "url", output: "http://x"},
		{export: "setting", input: "empty", output: "absent"},
		{export: "setting", input: "URL", output: "absent"},
		{export: "setting", output: "absent"},
	} {
		c.check(t, plugin)
	}
}

func checkLogs(t *testing.T, g *guests) {
	var mutex sync.Mutex
	var logged []string
	log := func(level extism.LogLevel, text string) {
		mutex.Lock()
		defer mutex.Unlock()
		logged = append(logged, level.String()+" "+text)
	}
	call{export: "logs", output: "2 0"}.check(t, g.load(t, "kernel", extismhost.Options{Log: log}))
	mutex.Lock()
	defer mutex.Unlock()
	if want := []string{"INFO info", "WARN warn", "ERROR error"}; !slices.Equal(logged, want) {
		t.Errorf("logged %q, want %q", logged, want)
	}
}

func checkInitialisation(t *testing.T, g *guests) {
	call{export: "initialised", input: "four", output: "1 4"}.check(t, g.load(t, "initialize", extismhost.Options{}))
	call{export: "initialised", output: "_initialize hs_init(0, 0)"}.check(t, g.load(t, "haskell", extismhost.Options{}))
	call{export: "initialised", output: "__wasm_call_ctors"}.check(t, g.load(t, "constructors", extismhost.Options{}))
	call{export: "started", output: "2"}.check(t, g.load(t, "start", extismhost.Options{}))
	_, err := extismhost.Load(t.Context(), extismhost.Package{Manifest: manifest(), Wasm: g.wasm["startkernel"]}, extismhost.Options{})
	if err == nil || !strings.Contains(err.Error(), "Invalid context") {
		t.Errorf("a start section that uses the kernel: %v", err)
	}
}

func checkGo(t *testing.T, g *guests) {
	plugin := g.load(t, "golang", extismhost.Options{})
	for _, c := range []call{
		{export: "initialised", input: "four", output: "4 1"},
		{export: "initialised", input: "again!", output: "6 1"},
		{export: "sleeps", output: "true"}, // for longer than a call may take
		{export: "prints", output: "0 0"},
		{export: "exits_0", output: "before the exit"},
		{export: "exits_7", failure: "plugin call failed: module closed with exit_code(7)"},
		{export: "panics", failure: "plugin call failed: "},
	} {
		c.check(t, plugin)
	}
	var begun int64
	before := time.Now().Unix()
	if err := plugin.Call(t.Context(), "time", nil, &begun); err != nil || begun < before || begun > time.Now().Unix() {
		t.Errorf("the time is %d, %v", begun, err)
	}
}

func checkImports(t *testing.T, g *guests) {
	call{export: "same"}.check(t, g.load(t, "duplicates", extismhost.Options{}))
	call{export: "nothing"}.check(t, g.loadWith(t, "nothing", []byte(`{"name":"a","author":"a","version":"1","permissions":{"users":{}}}`), extismhost.Options{}))
	_, err := extismhost.Load(t.Context(), extismhost.Package{
		Manifest: []byte(`{"name":"a","author":"a","version":"1","permissions":{"http":null}}`), Wasm: g.wasm["services"],
	}, extismhost.Options{})
	want := `creating instance: instantiating module: "http_send" is not exported in module "extism:host/user"`
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a plugin without the permission that it needs: %v", err)
	}
}

func checkKernelHTTP(t *testing.T, g *guests) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", "now")
		w.WriteHeader(http.StatusTeapot)
		_, _ = fmt.Fprint(w, r.Method)
	}))
	t.Cleanup(server.Close)
	asked := fmt.Sprintf(`{"url":%q,"method":"put"}`, server.URL)
	plugin := g.load(t, "kernel", extismhost.Options{})
	call{export: "request", input: asked, output: `418 PUT {"content-length":"3","content-type":"text/plain; charset=utf-8","date":"now"}`}.check(t, plugin)
	call{export: "request", input: `{"url":"http://localhost"}`, failure: "HTTP request to 'http://localhost' is not allowed"}.check(t, plugin)
	call{export: "request", input: asked, failure: "is not allowed"}.check(t, g.loadWith(t, "kernel", manifest(), extismhost.Options{}))
}

func checkManifests(t *testing.T, g *guests) {
	for manifest, want := range map[string]string{
		`{}`:                                     "field name in Manifest: required",
		`{"name":"","author":"a","version":"1"}`: "field name length: must be >= 1",
		`{"name":"a","author":null,"version":"1"}`:             "field author in Manifest: required",
		`{"name":"a","author":"a","version":1}`:                "parsing manifest JSON",
		`{"name":"a","author":"a","version":"1","config":{}}`:  "field schema in ConfigDefinition: required",
		`{"name":"a","author":"a","version":"1","unknown":[]}`: "scrobbler capability requires 'users' permission to be declared in manifest",
		`no JSON`: "parsing manifest JSON",
	} {
		_, err := extismhost.Load(t.Context(), extismhost.Package{Manifest: []byte(manifest), Wasm: g.wasm["nothing"]}, extismhost.Options{})
		if !errors.Is(err, extismhost.ErrManifest) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", manifest, err)
		}
	}
	with := []byte(`{"name":"a","author":"a","version":"1","permissions":{"users":{},"config":{}}}`)
	if got := g.loadWith(t, "nothing", with, extismhost.Options{}).Capabilities(); !slices.Equal(got, []string{"Scrobbler"}) {
		t.Errorf("capabilities %q", got)
	}
}
