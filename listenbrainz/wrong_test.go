package listenbrainz_test

import (
	"net/netip"
	"testing"

	"github.com/pluginhost/pluginhost/listenbrainz"
)

// wrongBurst is how many wrong tokens an address may send at once.
const wrongBurst = 10

const tooManyWrong = `503 {"code":503,"error":"too many tokens that are not known came from this address: try again later"}`

// exhaust sends wrong tokens until they are too many.
func exhaust(t *testing.T, d *door, more ...string) {
	t.Helper()
	for i := range wrongBurst {
		if got := d.ask(t, submit(wrong, play(past, ""), more...)); got.String() != unknown {
			t.Fatalf("%d: %s", i, got)
		}
	}
	if got := d.ask(t, submit(wrong, play(past, ""), more...)); got.String() != tooManyWrong {
		t.Fatal(got)
	}
}

func TestWrongTokensAreBoundedAndRightOnesAreNot(t *testing.T) {
	d := open(t, nil)
	exhaust(t, d)
	if got := d.ask(t, validate(wrong)); got.String() != tooManyWrong {
		t.Error(got)
	}
	for range 3 * wrongBurst {
		if got := d.ask(t, submit(joes, play(past, ""))); got.String() != ok {
			t.Fatal(got)
		}
	}
	if got := d.ask(t, submit(stuck, play(past, ""))); got.String() != notLooked {
		t.Error(got)
	}
}

func TestBehindAProxyEachClientHasItsOwnBound(t *testing.T) {
	d := open(t, nil, func(c *listenbrainz.Config) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	exhaust(t, d, "X-Forwarded-For: 192.0.2.1\r\n")
	if got := d.ask(t, submit(wrong, play(past, ""), "X-Forwarded-For: 192.0.2.2\r\n")); got.String() != unknown {
		t.Error(got)
	}
	if got := d.ask(t, submit(wrong, play(past, ""), "X-Forwarded-For: 192.0.2.3, 192.0.2.1\r\n")); got.String() != tooManyWrong {
		t.Errorf("an address that the client made up counts: %s", got)
	}
}

func TestWhatAClientSaysOfItsAddressDoesNotCount(t *testing.T) {
	d := open(t, nil)
	exhaust(t, d, "X-Forwarded-For: 192.0.2.1\r\n")
	if got := d.ask(t, submit(wrong, play(past, ""), "X-Forwarded-For: 192.0.2.2\r\n")); got.String() != tooManyWrong {
		t.Error(got)
	}
}
