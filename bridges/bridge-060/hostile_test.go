package bridge060_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/pluginhost/pluginhost/bridges/extismhost"
)

func checkCut(t *testing.T, b *bridge) {
	plugin, w := b.world(t, settings("http://host"))
	answer := func(status int, length, body string) string {
		return fmt.Sprintf(`{"result":{"statusCode":%d,"headers":{"Content-Length":%s},"body":%q}}`, status, length, base64.StdEncoding.EncodeToString([]byte(body)))
	}
	for length, taken := range map[string]bool{`"7"`: true, `"8"`: false, `"6"`: false, `"0"`: false, `"10485761"`: false, `"99999999999999999999999"`: true, `""`: true, `"x"`: true, `null`: true} {
		w.saysRaw(answer(http.StatusAccepted, length, `{"v":1}`))
		err := plugin.Call(t.Context(), scrobbles, json.RawMessage(play), nil)
		if (err == nil) != taken || (err != nil && !strings.Contains(err.Error(), "cut off")) {
			t.Errorf("with the length %s: %v", length, err)
		}
	}
	// Without a length nobody knows whether a body that is as long as one may be was longer.
	w.says(http.StatusAccepted, `{"v":1}`+strings.Repeat(" ", 10<<20-7))
	err := plugin.Call(t.Context(), scrobbles, json.RawMessage(play), nil)
	checkPlayFailure(t, "10 MiB", err, extismhost.Kept)
	w.saysRaw(`{"result":{"statusCode":204,"headers":{"content-length":"7"}}}`)
	if err := plugin.Call(t.Context(), tells, json.RawMessage(nowPlaying), nil); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Error(err)
	}
	// In the same way over HTTP.
	for _, length := range []int{10<<20 + 1, 12 << 20} {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			// Whoever has enough of it goes away.
			_, _ = w.Write(append([]byte(`{"biography":"x"}`), bytes.Repeat([]byte(" "), length-17)...))
		})
		err := b.load(t, extismhost.Options{Config: settings(url)}).Call(t.Context(), biography, json.RawMessage(artist), nil)
		if err == nil || trapped(err) {
			t.Errorf("%d bytes: %v", length, err)
		}
	}
}

func checkStrings(t *testing.T, b *bridge) {
	plugin, w := b.world(t, settings("http://host"))
	random := rand.New(rand.NewPCG(1, 2))
	parts := []string{
		"a", "Ä", "€", "😀", `\"`, `\\`, `\/`, `\b\f\n\r\t`, `\u00e4`, `\u0000`, `\uD83D\uDE00`, `\ud800`, `\udc00`, `\ud800\ud800`, `\ud83dx`, `\uDBFF\uDFFF`,
		"\xff", "\xc3", "\xe2\x82", "\xf0\x9f\x98", "\xed\xa0\x80", "\xc0\x80", "\xf4\x90\x80\x80", "\x7f", "(", "<&>", "\u2028",
	}
	for range 300 {
		text := ""
		for range 1 + random.IntN(8) {
			text += parts[random.IntN(len(parts))]
		}
		body := `{"biography":"` + text + `"}`
		var want, got struct{ Biography string }
		if err := json.Unmarshal([]byte(body), &want); err != nil {
			t.Fatal(err)
		}
		w.says(http.StatusOK, body)
		output, err := plugin.OutputOf(t.Context(), biography, []byte(artist))
		if err != nil || !utf8.Valid(output) {
			t.Fatalf("%q: %q, %v", body, output, err)
		}
		if err := json.Unmarshal(output, &got); err != nil || got != want {
			t.Errorf("%q: %q, want %q, %v", body, got, want, err)
		}
	}
}

func checkNumbers(t *testing.T, b *bridge) {
	plugin, w := b.world(t, settings("http://host"))
	w.says(http.StatusAccepted, `{"v":1}`)
	for number, want := range map[string]string{
		"0": "", "-0": "", "0.4": `,"durationMs":400`, "1.02": `,"length":1,"durationMs":1020`, "245": `,"length":245,"durationMs":245000`,
		"2.5e2": `,"length":250,"durationMs":250000`, "25E+1": `,"length":250,"durationMs":250000`, "1e-7": "", "-1.5": `,"length":-1,"durationMs":-1500`,
		"1e10": `,"length":2147483647,"durationMs":10000000000000`, "1e400": `,"length":2147483647,"durationMs":9223372036854775807`,
		"-1e400": `,"length":-2147483648,"durationMs":-9223372036854775807`, "1e-400": "", "0e99999999999999": "",
		"123456789012345678901234567890e-20": `,"length":1234567890,"durationMs":1234567890123`, "0.00000000000000000000000000001e30": `,"length":10,"durationMs":10000`,
		`"1.02"`: "", "null": "", "true": "", "[3]": "",
	} {
		input := `{"username":"a","track":{"id":"1","duration":` + number + `},"timestamp":1700000000}`
		err := plugin.Call(t.Context(), scrobbles, json.RawMessage(input), nil)
		if got := string(w.asked().Body); err != nil || got != `{"username":"a","track":{"id":"1","artists":[],"albumArtists":[]`+want+`},"timestamp":1700000000}` {
			t.Errorf("%s: %s, %v", number, got, err)
		}
	}
}

// checkDocuments changes a document and compares what the bridge takes for one with what Go does.
func checkDocuments(t *testing.T, b *bridge) {
	plugin, w := b.world(t, settings("http://host"))
	random := rand.New(rand.NewPCG(3, 4))
	document := []byte(` {"a":[1,-0.5e+3,true,false,null,{"b":"c\u00e4\n"},[]], "v":{"x":{}},` + "\t\r\n" + `"biography":"x"} `)
	bytesOf := []byte("{}[]\",:\\u0019aefnrtx+-. \n\x00\xff")
	seen := map[bool]int{}
	for range 1000 {
		changed := bytes.Clone(document)
		for range 1 + random.IntN(3) {
			at := random.IntN(len(changed))
			switch random.IntN(3) {
			case 0:
				changed[at] = bytesOf[random.IntN(len(bytesOf))]
			case 1:
				changed = append(changed[:at], changed[at+1:]...)
			default:
				changed = slices.Insert(changed, at, bytesOf[random.IntN(len(bytesOf))])
			}
		}
		var object map[string]any
		valid := json.Unmarshal(changed, &object) == nil && object != nil
		seen[valid]++
		w.says(http.StatusOK, string(changed))
		_, err := plugin.OutputOf(t.Context(), biography, []byte(artist))
		if (err == nil) != valid || trapped(err) {
			t.Errorf("%q: %v", changed, err)
		}
	}
	if seen[true] < 50 || seen[false] < 50 {
		t.Errorf("documents %v", seen)
	}
	for depth, valid := range map[int]bool{60: true, 100: false, 1_000_000: false} {
		w.says(http.StatusOK, `{"a":`+strings.Repeat("[", depth)+strings.Repeat("]", depth)+`}`)
		if _, err := plugin.OutputOf(t.Context(), biography, []byte(artist)); (err == nil) != valid || trapped(err) {
			t.Errorf("%d deep: %v", depth, err)
		}
	}
}

// checkAnyAnswer has http_send return what no host should.
func checkAnyAnswer(t *testing.T, b *bridge) {
	plugin, w := b.world(t, settings("http://host"))
	random := rand.New(rand.NewPCG(5, 6))
	good := `{"result":{"statusCode":202,"headers":{"Content-Length":"7","A":"b"},"body":"eyJ2IjoxfQ=="}}`
	answers := []string{
		"", "{}", "null", "[]", `""`, "{", `{"result":null}`, `{"result":{}}`, `{"result":{"statusCode":"202","body":"eyJ2IjoxfQ=="}}`, `{"error":""}`, `{"error":7}`,
		`{"error":"x","result":{"statusCode":202,"body":"eyJ2IjoxfQ=="}}`, `{"result":{"statusCode":202,"body":"eyJ2IjoxfQ="}}`, `{"result":{"statusCode":202,"body":"eyJ2IjoxfQ===="}}`,
		`{"result":{"statusCode":202,"body":"eyJ2I=joxfQ=="}}`, `{"result":{"statusCode":202,"body":[123,125]}}`, `{"result":{"statusCode":202,"body":null}}`, `{"result":{"statusCode":202.5,"body":"="}}`,
		`{"result":{"statusCode":1e99,"headers":[],"body":"A"}}`, strings.Repeat(`{"result":`, 100_000), "\xff\xfe", good[:len(good)-1], good + "x",
	}
	bad := len(answers)
	for range 300 {
		changed := []byte(good)
		for range 1 + random.IntN(3) {
			changed[random.IntN(len(changed))] = byte(random.IntN(256))
		}
		if random.IntN(4) == 0 {
			changed = changed[:random.IntN(len(changed))]
		}
		answers = append(answers, string(changed))
	}
	for _, answer := range answers {
		w.saysRaw(answer)
		if err := plugin.Call(t.Context(), scrobbles, json.RawMessage(play), nil); err != nil {
			checkPlayFailure(t, fmt.Sprintf("%.200q", answer), err, extismhost.Kept)
		}
		for export, input := range map[string]string{biography: artist, "nd_get_artist_images": artist, tells: nowPlaying} {
			if err := plugin.Call(t.Context(), export, json.RawMessage(input), nil); trapped(err) {
				t.Errorf("%.200q: %s: %v", answer, export, err)
			}
		}
	}
	for _, answer := range append(answers[:bad:bad], strings.Repeat(" ", 33<<20), `{"error":"`+strings.Repeat("x", 20<<20)+`"}`) {
		w.saysRaw(answer)
		checkPlayFailure(t, fmt.Sprintf("%.200q", answer), plugin.Call(t.Context(), scrobbles, json.RawMessage(play), nil), extismhost.Kept)
	}
}

// checkAnyRequest calls with what Navidrome never sends.
func checkAnyRequest(t *testing.T, b *bridge) {
	plugin, w := b.world(t, settings("http://host"))
	w.says(http.StatusAccepted, `{"v":1}`)
	random := rand.New(rand.NewPCG(7, 8))
	inputs := []string{
		"", "{}", "null", "[]", "{", `{"track":{}}`, `{"username":"a","track":{}}`, `{"username":"a","track":[]}`, `{"username":"a","track":{"artists":{},"albumArtists":"x","duration":{}},"timestamp":"x"}`,
		strings.Repeat("[", 100_000), `{"username":"a","track":{"artists":[` + strings.Repeat(`{"name":"x"},`, 50_000) + `{}]}}`,
		`{"username":"` + strings.Repeat("x", 1<<20) + `","track":{}}`, "\xff",
	}
	for range 250 {
		changed := []byte([]string{play, nowPlaying, artist}[random.IntN(3)])
		for range 1 + random.IntN(4) {
			changed[random.IntN(len(changed))] = byte(random.IntN(256))
		}
		inputs = append(inputs, string(changed[:len(changed)-random.IntN(2)*random.IntN(len(changed))]))
	}
	for _, input := range inputs {
		for _, export := range []string{biography, "nd_get_similar_artists", scrobbles, tells, authorised} {
			before := w.requests()
			_, err := plugin.OutputOf(t.Context(), export, []byte(input))
			if trapped(err) || (err == nil && export == scrobbles && w.requests() == before) {
				t.Errorf("%s(%.200q): %v", export, input, err)
			}
		}
	}
}

// checkHostileServers has servers that are not what they should be, over HTTP.
func checkHostileServers(t *testing.T, b *bridge) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = closed.Close() }()
	hangs := make(chan struct{})
	t.Cleanup(func() { close(hangs) })
	for name, handler := range map[string]http.HandlerFunc{
		"an HTML page": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprint(w, "<!doctype html><title>Log in</title>")
		},
		"a redirect to a page that takes all": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/in" {
				w.WriteHeader(http.StatusAccepted)
				_, _ = fmt.Fprint(w, `{"v":1,"biography":"x"}`)
				return
			}
			http.Redirect(w, r, "/in", http.StatusTemporaryRedirect)
		},
		"a 404 of another server": func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) },
		"an end in the midst of the body": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(http.StatusAccepted)
			_, _ = fmt.Fprint(w, `{"v":1}`)
		},
		"an end in the midst of nothing": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"what is no HTTP": func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			_, _ = fmt.Fprint(conn, "SSH-2.0-OpenSSH\r\n")
			_ = conn.Close()
		},
		"no answer": func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-hangs:
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plugin := b.load(t, extismhost.Options{Config: settings(serve(t, handler), "timeout", "1")})
			checkAway(t, plugin)
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		url := "http://" + closed.Addr().String()
		if err := closed.Close(); err != nil {
			t.Fatal(err)
		}
		checkAway(t, b.load(t, extismhost.Options{Config: settings(url)}))
	})
}

// checkAway checks what comes of calls where no gateway is.
func checkAway(t *testing.T, plugin *extismhost.Plugin) {
	t.Helper()
	checkPlayFailure(t, "scrobble", plugin.Call(t.Context(), scrobbles, json.RawMessage(play), nil), extismhost.Kept)
	for export, input := range map[string]string{biography: artist, tells: nowPlaying} {
		if err := plugin.Call(t.Context(), export, json.RawMessage(input), nil); err == nil || trapped(err) {
			t.Errorf("%s: %v", export, err)
		}
	}
	var yes bool
	if err := plugin.Call(t.Context(), authorised, json.RawMessage(`{"username":"admin"}`), &yes); err != nil || !yes {
		t.Errorf("authorised: %v, %v", yes, err)
	}
}

func checkAtOnce(t *testing.T, b *bridge) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"biography":%q}`, r.Header.Get("Pluginhost-Timeout"))
	})
	plugin := b.load(t, extismhost.Options{Config: settings(url)})
	var calls sync.WaitGroup
	for range 16 {
		calls.Go(func() {
			for range 5 {
				var got struct{ Biography string }
				if err := plugin.Call(t.Context(), biography, json.RawMessage(artist), &got); err != nil || got.Biography != "9000ms" {
					t.Errorf("%q, %v", got.Biography, err)
				}
			}
		})
	}
	calls.Wait()
}
