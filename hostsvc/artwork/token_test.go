package artwork_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/hostsvc/artwork"
)

func TestVerifyReturnsWhatSignTook(t *testing.T) {
	t.Parallel()
	signer := newSigner(t, 1)
	for _, test := range []struct{ signed, want artwork.Artwork }{
		{artwork.Artwork{Kind: artwork.Artist, ID: "1"}, artwork.Artwork{Kind: artwork.Artist, ID: "1"}},
		{artwork.Artwork{Kind: artwork.Album, ID: "a_b-c", Size: 127}, artwork.Artwork{Kind: artwork.Album, ID: "a_b-c", Size: 127}},
		{artwork.Artwork{Kind: artwork.Track, ID: "\x00\xffü/..", Size: 128}, artwork.Artwork{Kind: artwork.Track, ID: "\x00\xffü/..", Size: 128}},
		{artwork.Artwork{Kind: artwork.Track, ID: strings.Repeat("x", 512), Size: math.MaxInt32}, artwork.Artwork{Kind: artwork.Track, ID: strings.Repeat("x", 512), Size: math.MaxInt32}},
		{artwork.Artwork{Kind: artwork.Album, ID: "1", Size: -3}, artwork.Artwork{Kind: artwork.Album, ID: "1"}},
		{artwork.Artwork{Kind: artwork.Album, ID: "1", Size: math.MaxInt}, artwork.Artwork{Kind: artwork.Album, ID: "1", Size: math.MaxInt32}},
		{artwork.Artwork{Kind: artwork.Album}, artwork.Artwork{Kind: artwork.Album}},
	} {
		token := signer.Sign(test.signed)
		if got, err := signer.Verify(token); err != nil || got != test.want {
			t.Errorf("%+v: got %+v, error %v", test.signed, got, err)
		}
		if strings.Trim(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Errorf("%s has to be escaped in a URL", token)
		}
	}
}

// Addresses are out in the world: a change of the format breaks all of them.
func TestTokensStayTheSame(t *testing.T) {
	t.Parallel()
	const want = "AWysAmFsMa1916ScYMUp3opxnZhFDqU"
	if got := newSigner(t, 1).Sign(artwork.Artwork{Kind: artwork.Album, ID: "al1", Size: 300}); got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}

// refusedTokens are what signer must not accept, by what is wrong with each.
func refusedTokens(signer, other *artwork.Signer) map[string]string {
	token := signer.Sign(artwork.Artwork{Kind: artwork.Album, ID: "al1", Size: 300})
	jwt := "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpZCI6ImFsLWFsMV8wIiwiaXNzIjoiTkQifQ.dGhpcyBpcyBub3QgYSBzaWduYXR1cmUgb2YgYW55Ym9keQ"
	sealed, _ := base64.RawURLEncoding.DecodeString(token)
	encode := base64.RawURLEncoding.EncodeToString
	// 20 bytes are 27 characters with 2 bits too many.
	loose := signer.Sign(artwork.Artwork{Kind: artwork.Album, ID: "1"})
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", loose[len(loose)-1])
	return map[string]string{
		"another key":                     other.Sign(artwork.Artwork{Kind: artwork.Album, ID: "al1", Size: 300}),
		"a token of Navidrome":            jwt,
		"a single character":              "A",
		"shorter than a signature":        encode(sealed[:15]),
		"a signature alone":               encode(sealed[len(sealed)-16:]),
		"without the last character":      token[:len(token)-1],
		"without the last byte":           encode(sealed[:len(sealed)-1]),
		"without the first byte":          encode(sealed[1:]),
		"with a byte more":                encode(append(bytes.Clone(sealed), 0)),
		"with a character more":           token + "A",
		"twice":                           token + token,
		"padded":                          token + "=",
		"padded twice":                    token + "==",
		"bits that do not count":          loose[:len(loose)-1] + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last^1:last^1+1],
		"a line break":                    token[:4] + "\n" + token[4:],
		"a line break at the end":         token + "\r\n",
		"a blank":                         token + " ",
		"the other base64":                "+" + token[1:],
		"the next version":                signer.Seal([]byte("\x02l\x00al1")),
		"an unknown kind":                 signer.Seal([]byte("\x01x\x00al1")),
		"no kind":                         signer.Sign(artwork.Artwork{Kind: "playlist", ID: "1"}),
		"a size that is too long":         signer.Seal([]byte("\x01l\x80\x00al1")),
		"a size over 31 bits":             signer.Seal([]byte("\x01l\x80\x80\x80\x80\x08al1")),
		"a size over 64 bits":             signer.Seal([]byte("\x01l\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")),
		"a size that ends early":          signer.Seal([]byte("\x01l\x80")),
		"nothing that is signed":          signer.Seal(nil),
		"a version that is signed":        signer.Seal([]byte{1}),
		"an id over 512 bytes":            signer.Sign(artwork.Artwork{Kind: artwork.Album, ID: strings.Repeat("x", 513)}),
		"a token over 1 KiB":              signer.Sign(artwork.Artwork{Kind: artwork.Album, ID: strings.Repeat("x", 1000)}),
		"64 KiB of garbage":               strings.Repeat("garbage!", 8<<10),
		"64 KiB that look like a token":   strings.Repeat("AAAA", 16<<10),
		"bytes that are no text":          "\xff\xfe\x00",
		"an artwork id without signature": "al-al1_0",
	}
}

func TestForeignTokensAreRefused(t *testing.T) {
	t.Parallel()
	signer := newSigner(t, 1)
	for name, token := range refusedTokens(signer, newSigner(t, 2)) {
		if got, err := signer.Verify(token); !errors.Is(err, artwork.ErrToken) {
			t.Errorf("%s: got %+v, error %v", name, got, err)
		}
	}
	if _, err := signer.Verify(""); !errors.Is(err, artwork.ErrToken) {
		t.Errorf("nothing: got %v", err)
	}
}

func TestEveryBitOfATokenCounts(t *testing.T) {
	t.Parallel()
	signer := newSigner(t, 1)
	token := signer.Sign(artwork.Artwork{Kind: artwork.Album, ID: "al1", Size: 300})
	sealed, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(sealed) * 8 {
		sealed[i/8] ^= 1 << (i % 8)
		if got, err := signer.Verify(base64.RawURLEncoding.EncodeToString(sealed)); !errors.Is(err, artwork.ErrToken) {
			t.Errorf("bit %d: got %+v, error %v", i, got, err)
		}
		sealed[i/8] ^= 1 << (i % 8)
	}
	for i := range token {
		for other := range 256 {
			changed := []byte(token)
			changed[i] = byte(other)
			if got, err := signer.Verify(string(changed)); byte(other) != token[i] && !errors.Is(err, artwork.ErrToken) {
				t.Errorf("character %d as byte %d: got %+v, error %v", i, other, got, err)
			}
		}
	}
}

func TestAKeyHas32BytesOfItsOwn(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 16, 31, 33, 64} {
		if _, err := artwork.NewSigner(make([]byte, n)); err == nil {
			t.Errorf("a key of %d bytes was taken", n)
		}
	}
	key := make([]byte, 32)
	signer, err := artwork.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	token := signer.Sign(artwork.Artwork{Kind: artwork.Album, ID: "1"})
	key[0] = 1
	if _, err := signer.Verify(token); err != nil {
		t.Errorf("the caller's change of its key changed the signer: %v", err)
	}
}

// No text is accepted but the one that Sign makes of what Verify returns, whether the
// signature is forged or right.
func FuzzVerify(f *testing.F) {
	signer := newSigner(f, 1)
	for _, token := range refusedTokens(signer, newSigner(f, 2)) {
		f.Add(token, []byte(token))
	}
	for _, seed := range []artwork.Artwork{{Kind: artwork.Artist, ID: "ar1"}, {Kind: artwork.Album, ID: "al1", Size: 300}, {Kind: artwork.Track, Size: math.MaxInt32}} {
		f.Add(signer.Sign(seed), []byte("\x01t\xff\xff\xff\xff\x07"))
	}
	f.Fuzz(func(t *testing.T, token string, payload []byte) {
		for _, token := range []string{token, signer.Seal(bytes.Clone(payload))} {
			got, err := signer.Verify(token)
			switch {
			case err != nil && !errors.Is(err, artwork.ErrToken):
				t.Fatalf("%q: %v", token, err)
			case err == nil && signer.Sign(got) != token:
				t.Fatalf("%q is accepted as %+v, of which Sign makes %q", token, got, signer.Sign(got))
			}
		}
	})
}

// Whoever removes the key of the cluster revokes all addresses, while replicas run.
func TestASignerGoesByTheKeyOfNow(t *testing.T) {
	t.Parallel()
	key := bytes.Repeat([]byte{1}, 32)
	signer := artwork.NewSignerOf(func() []byte { return key })
	image := artwork.Artwork{Kind: artwork.Album, ID: "al1", Size: 300}
	former := signer.Sign(image)
	if former != newSigner(t, 1).Sign(image) {
		t.Error("it has another token")
	}
	key = bytes.Repeat([]byte{2}, 32)
	if _, err := signer.Verify(former); !errors.Is(err, artwork.ErrToken) {
		t.Errorf("the former address: %v", err)
	}
	if got, err := signer.Verify(signer.Sign(image)); err != nil || got != image {
		t.Errorf("got %+v, %v", got, err)
	}
}
