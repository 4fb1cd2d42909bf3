package listenbrainz_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/listenbrainz"
)

const (
	ok         = `200 {"status":"ok"}`
	notStored  = `503 {"code":503,"error":"the play cannot be stored now: send it again later"}`
	unknown    = `401 {"code":401,"error":"the token is not known, or not for scrobbling: set another one"}`
	noToken    = `400 {"code":400,"error":"no token: send the header Authorization once, as Token, a space and the token"}`
	notLooked  = `503 {"code":503,"error":"the token cannot be looked up now: try again later"}`
	nothing    = `404 nothing is here: /1/validate-token and /1/submit-listens are served`
	notArrived = `503 {"code":503,"error":"the body did not arrive: send it again later"}`
)

const playing = `{"listen_type":"playing_now","payload":[{"track_metadata":{"artist_name":"Nina Simone","track_name":"Sinnerman"}}]}`

// past is a time at which something was played.
const past = 1700000000

func TestEachRequestHasItsAnswer(t *testing.T) {
	d := open(t, nil, func(c *listenbrainz.Config) { c.WaitAtMost(100 * time.Millisecond) })
	for _, test := range []struct {
		name, request, want string
	}{
		{"a token is validated", validate(joes), `200 {"code":200,"message":"the token is valid","valid":true,"user_name":"joe"}`},
		{"a wrong token is validated", validate(wrong), `200 {"code":200,"message":"the token is not valid","valid":false}`},
		{"a token is validated and nobody can look", validate(stuck), notLooked},
		{"a token in the query is none", "GET /1/validate-token?token=" + joes + " HTTP/1.1\r\nHost: x\r\n\r\n", noToken},
		{"playing now", submit(joes, playing), ok},
		{"a play", submit(joes, play(past, "")), ok},
		{"an import", submit(joes, imports(listen(past, ""), listen(past+1, ""))), ok},
		{"the scheme in lower case", strings.Replace(submit(joes, play(past, "")), "Token ", "token ", 1), ok},
		{"the scheme in upper case", strings.Replace(submit(joes, play(past, "")), "Token ", "TOKEN ", 1), ok},
		{"another scheme", strings.Replace(submit(joes, play(past, "")), "Token ", "Bearer ", 1), noToken},
		{"no scheme", strings.Replace(submit(joes, play(past, "")), "Token ", "", 1), noToken},
		{"no token", strings.Replace(submit("", play(past, "")), "Authorization: Token ", "X: ", 1), noToken},
		{"an empty token", submit("", play(past, "")), noToken},
		{"two tokens", submit(joes, play(past, ""), "Authorization: Token "+joes+"\r\n"), noToken},
		{"a wrong token", submit(wrong, play(past, "")), unknown},
		{"a wrong token and no JSON", submit(wrong, "{"), unknown},
		{"nobody can look", submit(stuck, play(past, "")), notLooked},
		{"looking never ends", submit(hangs, play(past, "")), notLooked},
		{"no JSON", submit(joes, "{"), `400 {"code":400,"error":"the body ends before its JSON does"}`},
		{"no body", submit(joes, ""), `400 {"code":400,"error":"the body ends before its JSON does"}`},
		{"a compressed body", submit(joes, play(past, ""), "Content-Encoding: gzip\r\n"), `400 {"code":400,"error":"the header Content-Encoding is not taken: send the body as it is"}`},
		{"a body that says it is not compressed", submit(joes, play(past, ""), "Content-Encoding: identity\r\n"), ok},
		{"another path", request("GET", "/", joes, ""), nothing},
		{"another version", request("POST", "/2/submit-listens", joes, play(past, "")), nothing},
		{"a path that goes on", request("POST", "/1/submit-listens/", joes, play(past, "")), nothing},
		{"what ListenBrainz also has", request("GET", "/1/user/joe/listens", joes, ""), nothing},
		{"a submission by GET", request("GET", "/1/submit-listens", joes, ""), `405 it takes POST only`},
		{"a validation by POST", request("POST", "/1/validate-token", joes, "{}"), `405 it takes GET only`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := d.ask(t, test.request)
			if got.String() != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			isStray := got.status == http.StatusNotFound || got.status == http.StatusMethodNotAllowed
			if kind := got.header.Get("Content-Type"); (kind != "application/json") != isStray {
				t.Errorf("the answer is %q", kind)
			}
			if retry := got.header.Get("Retry-After"); (retry != "") != (got.status == http.StatusServiceUnavailable) {
				t.Errorf("Retry-After is %q", retry)
			}
		})
	}
}

func TestAConnectionIsKeptForTheNextRequest(t *testing.T) {
	d := open(t, nil)
	c := d.dial(t, validate(joes))
	c.answer()
	for range 3 {
		c.say(submit(joes, play(past, "")))
		if got := c.answer(); got.String() != ok {
			t.Fatal(got)
		}
	}
}

func TestAPlayIsForTheUserAndThePluginOfItsToken(t *testing.T) {
	d := open(t, nil)
	before := time.Now().Unix()
	for _, body := range []string{playing, play(past, "")} {
		for _, token := range []string{joes, onlys} {
			if got := d.ask(t, submit(token, body)); got.String() != ok {
				t.Fatal(got)
			}
		}
	}
	if want := []string{"", "one", "", "one"}; !slices.Equal(d.plugins, want) {
		t.Errorf("the plays are for %q, want %q", d.plugins, want)
	}
	first, second := d.plays[0], d.plays[1]
	if first.Username != "joe" || first.UserId != "u1" || second.Username != "only" || second.UserId != "u2" || first.Timestamp != past {
		t.Errorf("got %v and %v", first, second)
	}
	if now := d.playing[0]; now.Username != "joe" || now.UserId != "u1" || now.Track.Name != "Sinnerman" || now.Timestamp < before || now.Timestamp > time.Now().Unix() {
		t.Errorf("got %v", now)
	}
}

func TestAPlayIsAnsweredOnceItIsSafe(t *testing.T) {
	entered, release := make(chan struct{}), make(chan error)
	d := open(t, func(context.Context) error {
		entered <- struct{}{}
		return <-release
	})
	for _, body := range []string{play(past, ""), imports(listen(past, ""), listen(past, ""))} {
		for err, want := range map[error]string{nil: ok, errors.New("the stream is full"): notStored} {
			c := d.dial(t, submit(joes, body))
			<-entered
			// What starts to play is answered while a play waits.
			if got := d.ask(t, submit(joes, playing)); got.String() != ok {
				t.Error(got)
			}
			_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			if early, err := c.reader.Peek(1); err == nil {
				t.Errorf("answered %q before the play was safe", early)
			}
			release <- err
			if got := c.answer(); got.String() != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		}
	}
}

func TestAPlayThatIsNotStoredInTimeHasToComeAgain(t *testing.T) {
	d := open(t, func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}, func(c *listenbrainz.Config) { c.WaitAtMost(50 * time.Millisecond) })
	if got := d.ask(t, submit(joes, play(past, ""))); got.String() != notStored {
		t.Error(got)
	}
}

func TestAnImportComesInTheOrderOfTime(t *testing.T) {
	d := open(t, nil)
	const n = 50 // as many as a sort moves at its own pleasure
	var listens []string
	for i := range n {
		listens = append(listens, listen(past+int64(i%2), fmt.Sprintf(`,"release_name":"%d"`, i)))
	}
	if got := d.ask(t, submit(joes, imports(listens...))); got.String() != ok {
		t.Fatal(got)
	}
	for i, each := range d.plays {
		if want := fmt.Sprint(2*i%n + 2*i/n); each.Track.Album != want {
			t.Errorf("%d: got listen %s, want %s", i, each.Track.Album, want)
		}
	}
}

func TestNavidromeHasItsAnswerBeforeItGivesUpAndAnImportHasLonger(t *testing.T) {
	const navidrome = 10 * time.Second
	waits := make(chan time.Duration, 1)
	d := open(t, func(ctx context.Context) error {
		until, _ := ctx.Deadline()
		waits <- time.Until(until)
		return nil
	})
	d.ask(t, submit(joes, play(past, "")))
	if wait := <-waits; wait <= 0 || wait > navidrome-2*time.Second {
		t.Errorf("a play waits for %s", wait)
	}
	d.ask(t, submit(joes, imports(listen(past, ""))))
	if wait := <-waits; wait < navidrome || wait > time.Minute {
		t.Errorf("an import waits for %s", wait)
	}
}

func TestAnImportMayHaveAThousandListens(t *testing.T) {
	d := open(t, nil)
	var many []string
	for i := range 1001 {
		many = append(many, listen(past+int64(i), ""))
	}
	if got := d.ask(t, submit(joes, imports(many[:1000]...))); got.String() != ok || len(d.plays) != 1000 {
		t.Errorf("%s, %d plays", got, len(d.plays))
	}
	const tooMany = `400 {"code":400,"error":"payload has more than 1000 listens: send them in several requests"}`
	if got := d.ask(t, submit(joes, imports(many...))); got.String() != tooMany {
		t.Error(got)
	}
}

func TestABodyIsBounded(t *testing.T) {
	tooLong := fmt.Sprintf(`400 {"code":400,"error":"the body has more than %d bytes: send fewer listens at once"}`, listenbrainz.Bound)
	d := open(t, nil)
	fill := func(n int) string {
		body := play(past, "")
		return body + strings.Repeat(" ", n-len(body))
	}
	t.Run("as long as it may be", func(t *testing.T) {
		if got := d.ask(t, submit(joes, fill(listenbrainz.Bound))); got.String() != ok {
			t.Error(got)
		}
	})
	t.Run("a length that is too long is refused before the body comes", func(t *testing.T) {
		head, _, _ := strings.Cut(submit(joes, fill(listenbrainz.Bound+1)), "\r\n\r\n")
		if got := d.ask(t, head+"\r\n\r\n"); got.String() != tooLong {
			t.Error(got)
		}
	})
	head, _, _ := strings.Cut(submit(joes, "", "Transfer-Encoding: chunked\r\n"), "\r\n\r\n")
	head = strings.Replace(head, "Content-Length: 0\r\n", "", 1) + "\r\n\r\n"
	t.Run("chunks that become too long", func(t *testing.T) {
		if got := d.ask(t, head+fmt.Sprintf("%x\r\n%s\r\n", listenbrainz.Bound+1, fill(listenbrainz.Bound+1))); got.String() != tooLong {
			t.Error(got)
		}
	})
	t.Run("chunks", func(t *testing.T) {
		body := play(past, "")
		if got := d.ask(t, head+fmt.Sprintf("%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", 10, body[:10], len(body)-10, body[10:])); got.String() != ok {
			t.Error(got)
		}
	})
}

func TestABodyThatDoesNotArriveHasToComeAgain(t *testing.T) {
	d := open(t, nil, func(c *listenbrainz.Config) { c.ReadWithin(200 * time.Millisecond) })
	whole := submit(joes, play(past, ""))
	if got := d.ask(t, whole[:len(whole)-1]); got.String() != notArrived {
		t.Error(got)
	}
	if len(d.plays) > 0 {
		t.Errorf("got %v", d.plays)
	}
}

func TestAChunkedBodyThatBreaksOffIsNoPlay(t *testing.T) {
	d := open(t, nil)
	body := play(past, "")
	head, _, _ := strings.Cut(submit(joes, "", "Transfer-Encoding: chunked\r\n"), "\r\n\r\n")
	head = strings.Replace(head, "Content-Length: 0\r\n", "", 1) + "\r\n\r\n"
	c := d.dial(t, head+fmt.Sprintf("%x\r\n%s", len(body)+10, body))
	if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := c.read(); err == nil && got.String() != notArrived {
		t.Error(got)
	}
	if len(d.plays) > 0 {
		t.Errorf("got %v", d.plays)
	}
}

func TestLongBodiesKeepNoSinglePlayOut(t *testing.T) {
	const noRoom = `503 {"code":503,"error":"too many long submissions at a time: send it again later"}`
	entered, release := make(chan struct{}, 100), make(chan struct{})
	d := open(t, func(ctx context.Context) error {
		entered <- struct{}{}
		select {
		case <-release:
		case <-ctx.Done():
		}
		return ctx.Err()
	}, func(c *listenbrainz.Config) { c.WaitAtMost(time.Hour) })
	long := strings.Repeat(" ", listenbrainz.MaxAccountBodies/2)
	var waiting []*caller
	for i := range listenbrainz.MaxBodies / listenbrainz.MaxAccountBodies {
		token := fmt.Sprint(others, i)
		waiting = append(waiting, d.dial(t, submit(token, play(past, "")+long)))
		<-entered
		if got := d.ask(t, submit(token, play(past, "")+long+long[:listenbrainz.Bound-2*len(play(past, ""))-len(long)])); got.String() != noRoom {
			t.Errorf("an account has more than its share: %s", got)
		}
		waiting = append(waiting, d.dial(t, submit(token, play(past, "")+long[:len(long)-100])))
		<-entered
	}
	if got := d.ask(t, submit(joes, imports(listen(past, ""))+long)); got.String() != noRoom {
		t.Error(got)
	}
	waiting = append(waiting, d.dial(t, submit(joes, play(past, ""))))
	<-entered
	close(release)
	for _, c := range waiting {
		if got := c.answer(); got.String() != ok {
			t.Error(got)
		}
	}
	if got := d.ask(t, submit(joes, imports(listen(past, ""))+long)); got.String() != ok {
		t.Errorf("what was taken is not given back: %s", got)
	}
}

func TestStopWaitsForTheRequestsThatRun(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	d := open(t, func(context.Context) error {
		entered <- struct{}{}
		<-release
		return nil
	})
	c := d.dial(t, submit(joes, play(past, "")))
	<-entered
	stopped := make(chan error)
	go func() { stopped <- d.Stop(t.Context()) }()
	close(release)
	if got := c.answer(); got.String() != ok {
		t.Error(got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestStopBreaksOffWhatTakesTooLong(t *testing.T) {
	entered := make(chan struct{})
	d := open(t, func(ctx context.Context) error {
		entered <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	c := d.dial(t, submit(joes, play(past, "")))
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Stop(ctx); err == nil {
		t.Error("stop broke nothing off")
	}
	if got, err := c.read(); err == nil && got.String() != notStored {
		t.Error(got)
	}
}

func TestAnAddressThatCannotBeListenedOnIsNamed(t *testing.T) {
	d := open(t, nil)
	_, err := listenbrainz.Listen(listenbrainz.Config{Address: d.Address(), Tokens: tokens{}, Plays: d.shelf})
	if err == nil || !strings.Contains(err.Error(), "[ListenBrainz] Listen") {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsLostIsLogged(t *testing.T) {
	d := open(t, func(context.Context) error { return errors.New("the stream is full") })
	for request, want := range map[string]string{
		submit(joes, play(1, "")):     "refused",
		submit(joes, play(past, "")):  "the stream is full",
		submit(stuck, play(past, "")): "no answer from JetStream",
		submit(wrong, play(past, "")): "a token is not known",
	} {
		d.ask(t, request)
		if !strings.Contains(d.log.String(), want) {
			t.Errorf("%q is not in the log: %s", want, d.log)
		}
	}
}

func TestABodyMayBeAskedFor(t *testing.T) {
	d := open(t, nil)
	head, body, _ := strings.Cut(submit(joes, play(past, ""), "Expect: 100-continue\r\n"), "\r\n\r\n")
	c := d.dial(t, head+"\r\n\r\n")
	const goOn = "HTTP/1.1 100 Continue\r\n\r\n"
	got := make([]byte, len(goOn))
	if _, err := io.ReadFull(c.reader, got); err != nil || string(got) != goOn {
		t.Fatalf("%q, %v", got, err)
	}
	c.say(body)
	if got := c.answer(); got.String() != ok {
		t.Error(got)
	}
}
