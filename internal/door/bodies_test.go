package door_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/internal/door"
)

// post is a request with a body, whose length it tells unless that is below 0.
func post(body string, length int64, header ...string) *http.Request {
	r := &http.Request{Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: length}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// account charges for what is held, up to a limit.
type account struct{ held, limit int64 }

var errBroke = errors.New("no more money")

func (a *account) hold(bytes int64) (func(), error) {
	if a.held+bytes > a.limit {
		return nil, errBroke
	}
	a.held += bytes
	return func() { a.held -= bytes }, nil
}

func TestABodyIsReadAsAWholeAndItsRoomGivenBack(t *testing.T) {
	for _, size := range []int{0, 1, 16<<10 - 1, 16 << 10, 16<<10 + 1, 100_000} {
		for _, length := range []int64{int64(size), -1} {
			paid := &account{limit: 1 << 20}
			bodies := &door.Bodies{Max: 1 << 20, MaxOfOne: 1 << 20, Hold: paid.hold}
			body, release, err := bodies.Read(post(strings.Repeat("x", size), length), "joe", 200_000)
			if err != nil || len(body) != size {
				t.Errorf("%d bytes, told %d: got %d, %v", size, length, len(body), err)
			}
			if int64(size) > paid.held {
				t.Errorf("%d bytes: %d are paid for", size, paid.held)
			}
			release()
			if paid.held != 0 || bodies.Senders() != 0 {
				t.Errorf("%d bytes: %d are paid for afterwards, of %d senders", size, paid.held, bodies.Senders())
			}
		}
	}
}

func TestABodyThatIsNotTakenSaysWhy(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for name, c := range map[string]struct {
		request  *http.Request
		max, one int
		paid     int64
		want     error
	}{
		"longer than it may be, as it says": {post(long, 100_000), 1 << 20, 1 << 20, 1 << 20, door.ErrTooLong},
		"longer than it may be":             {post(long, -1), 1 << 20, 1 << 20, 1 << 20, door.ErrTooLong},
		"with an encoding":                  {post("x", 1, "Content-Encoding", "gzip"), 1 << 20, 1 << 20, 1 << 20, door.ErrEncoded},
		"no room":                           {post(long[:90_000], -1), 50_000, 1 << 20, 1 << 20, door.ErrNoRoom},
		"no room for this sender":           {post(long[:90_000], -1), 1 << 20, 50_000, 1 << 20, door.ErrNoRoom},
		"nobody pays":                       {post(long[:90_000], -1), 1 << 20, 1 << 20, 50_000, errBroke},
		"it breaks off":                     {&http.Request{Body: io.NopCloser(io.MultiReader(strings.NewReader("x"), broken{})), ContentLength: 9}, 1 << 20, 1 << 20, 1 << 20, io.ErrUnexpectedEOF},
	} {
		paid := &account{limit: c.paid}
		bodies := &door.Bodies{Max: c.max, MaxOfOne: c.one, Hold: paid.hold}
		body, release, err := bodies.Read(c.request, "joe", 99_000)
		if !errors.Is(err, c.want) || body != nil {
			t.Errorf("%s: got %d bytes, %v, want %v", name, len(body), err, c.want)
		}
		release()
		if paid.held != 0 || bodies.Senders() != 0 {
			t.Errorf("%s: %d are paid for afterwards, of %d senders", name, paid.held, bodies.Senders())
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestOneSenderLeavesRoomToOthers(t *testing.T) {
	bodies := &door.Bodies{Max: 100, MaxOfOne: 60}
	release, err := bodies.Take("joe", 60)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bodies.Take("joe", 1); !errors.Is(err, door.ErrNoRoom) {
		t.Errorf("more than of one: %v", err)
	}
	if _, err := bodies.Take("ann", 40); err != nil {
		t.Errorf("another one: %v", err)
	}
	if _, err := bodies.Take("eve", 1); !errors.Is(err, door.ErrNoRoom) {
		t.Errorf("more than altogether: %v", err)
	}
	release()
	if _, err := bodies.Take("eve", 60); err != nil {
		t.Errorf("once there is room again: %v", err)
	}
}
