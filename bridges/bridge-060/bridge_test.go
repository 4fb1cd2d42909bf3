package bridge060_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero"
	"go.uber.org/goleak"

	"github.com/pluginhost/pluginhost/bridges/assemblyscript"
	bridge060 "github.com/pluginhost/pluginhost/bridges/bridge-060"
	"github.com/pluginhost/pluginhost/bridges/extismhost"
	"github.com/pluginhost/pluginhost/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testenv.LatePublisher()) }

func TestBridge(t *testing.T) {
	b := build(t)
	for name, check := range map[string]func(*testing.T, *bridge){
		"a variant exports what it is for":             checkExports,
		"packages are the same for the same modules":   checkPackages,
		"questions arrive as the contract has them":    checkQuestions,
		"answers go back as Navidrome has them":        checkAnswers,
		"nothing is no output":                         checkNothing,
		"plays arrive as the contract has them":        checkPlays,
		"each failure has its outcome":                 checkFailures,
		"a foreign text changes no outcome":            checkForeignTexts,
		"a play without a user waits":                  checkNobody,
		"authorised from the configuration alone":      checkAuthorised,
		"settings that are wrong are said":             checkSettings,
		"addresses":                                    checkAddresses,
		"the token stays where it belongs":             checkToken,
		"what failed is logged as a warning, once":     checkLogged,
		"time-outs leave room for two tries":           checkTimeouts,
		"answers that were cut are none":               checkCut,
		"large answers are passed on":                  checkLarge,
		"strings are what Go makes of them":            checkStrings,
		"numbers are what they say":                    checkNumbers,
		"documents are what Go takes for them":         checkDocuments,
		"answers of any bytes do no harm":              checkAnyAnswer,
		"requests of any bytes do no harm":             checkAnyRequest,
		"answers over HTTP that are none are failures": checkHostileServers,
		"calls at once do not mix":                     checkAtOnce,
	} {
		t.Run(name, func(t *testing.T) { check(t, b) })
	}
}

// bridge is what was built.
type bridge struct {
	folder string
	cache  wazero.CompilationCache
}

// build builds the bridge as its README says, in a folder of the test. The test is skipped where that cannot be.
func build(t *testing.T) *bridge {
	t.Helper()
	if err := assemblyscript.Missing(); err != nil {
		if os.Getenv("REQUIRE_NODE") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	b := &bridge{folder: t.TempDir(), cache: wazero.NewCompilationCache()}
	t.Cleanup(func() {
		if err := b.cache.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	project, err := assemblyscript.Install(t.Context(), ".", "assembly", b.folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := project.Run(t.Context(), "build"); err != nil {
		t.Fatal(err)
	}
	return b
}

// pack returns the package of a variant, as Navidrome reads it.
func (b *bridge) pack(t *testing.T, variant bridge060.Variant) extismhost.Package {
	t.Helper()
	built, err := variant.Package(b.folder)
	if err != nil {
		t.Fatal(err)
	}
	var ndp bytes.Buffer
	if err := built.Write(&ndp); err != nil {
		t.Fatal(err)
	}
	read, err := extismhost.ReadPackage(ndp.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// token is an access token.
const token = "ph_0123456789"

// settings are those that lead to an address, with others over them.
func settings(url string, others ...string) map[string]string {
	config := map[string]string{"url": url, "token": token}
	for i := 0; i+1 < len(others); i += 2 {
		config[others[i]] = others[i+1]
	}
	return config
}

// load loads the variant with everything.
func (b *bridge) load(t *testing.T, options extismhost.Options) *extismhost.Plugin {
	t.Helper()
	options.Cache = b.cache
	plugin, err := extismhost.Load(t.Context(), b.pack(t, bridge060.All), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plugin.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return plugin
}

// world is what the bridge sends its requests to: it keeps the last one, and answers each alike.
type world struct {
	mutex  sync.Mutex
	last   request
	count  int
	answer []byte
}

// request is one of http_send.
type request struct {
	Method            string
	URL               string
	Headers           map[string]string
	NoFollowRedirects bool
	TimeoutMs         int
	Body              []byte
}

// send is extismhost.Options.Send.
func (w *world) send(sent []byte) []byte {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	var read struct{ Request request }
	decoder := json.NewDecoder(bytes.NewReader(sent))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&read); err != nil {
		panic(err) // the bridge makes no JSON
	}
	w.last = read.Request
	w.count++
	return w.answer
}

// says has it answer with a status and a body.
func (w *world) says(status int, body string) {
	answer, err := json.Marshal(map[string]any{"result": map[string]any{"statusCode": status, "body": []byte(body)}})
	if err != nil {
		panic(err)
	}
	w.saysRaw(string(answer))
}

// saysRaw has it answer with what http_send returns.
func (w *world) saysRaw(answer string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.answer = []byte(answer)
}

// asked returns the last request.
func (w *world) asked() request {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.last
}

// requests is how many there were.
func (w *world) requests() int {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.count
}

// world loads the bridge in a world of its own.
func (b *bridge) world(t *testing.T, config map[string]string) (*extismhost.Plugin, *world) {
	t.Helper()
	w := &world{}
	return b.load(t, extismhost.Options{Config: config, Send: w.send}), w
}

// serve serves HTTP.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Error(err)
		}
		handler(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// trapped says whether a call ended with a trap.
func trapped(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "wasm error") || strings.Contains(err.Error(), "wasm stack trace"))
}

const (
	track = `{"id":"up91nfa1r6CZ9fekCC1uEV","title":"Song","album":"Album","artist":"Artist","albumArtist":"Album Artist",` +
		`"artists":[{"id":"10PUKkeBTCNZvme6M4c9HD","name":"Artist"}],"albumArtists":[{"id":"5WdtjTSFGJHIMAh76SendS","name":"Album Artist"}],` +
		`"duration":1.02,"trackNumber":2,"discNumber":1}`
	play       = `{"username":"admin","track":` + track + `,"timestamp":1700000000}`
	nowPlaying = `{"username":"admin","track":` + track + `,"position":0}`
	artist     = `{"id":"10PUKkeBTCNZvme6M4c9HD","name":"Artist"}`
)

const (
	scrobbles  = "nd_scrobbler_scrobble"
	tells      = "nd_scrobbler_now_playing"
	authorised = "nd_scrobbler_is_authorized"
	biography  = "nd_get_artist_biography"
)
