package artwork

import (
	"context"
	"fmt"
	"net/url"
	"strings"
)

// pathSegment is the path segment before the token.
const pathSegment = "artwork"

// Links are addresses that lead to a Proxy with the same key. It is safe for
// concurrent use.
type Links struct {
	signer *Signer
	base   string
}

var _ Addresses = (*Links)(nil)

// NewLinks makes addresses <share>/artwork/<token>. Query, fragment and user
// information of share are left out. Nil is http://localhost, by which plugins know
// that nobody else can reach an address.
func NewLinks(signer *Signer, share *url.URL) *Links {
	base := "http://localhost"
	if share != nil {
		public := url.URL{Scheme: share.Scheme, Host: share.Host, Path: share.Path, RawPath: share.RawPath}
		base = strings.TrimRight(public.String(), "/")
	}
	return &Links{signer: signer, base: base}
}

// URL returns the address of an image. An unknown kind and an id over 512 bytes are
// errors.
func (l *Links) URL(_ context.Context, kind Kind, id string, size int) (string, error) {
	if kindByte(kind) == 0 {
		return "", fmt.Errorf("%q is no kind of artwork", kind)
	}
	if len(id) > maxIDBytes {
		return "", fmt.Errorf("an id of %d bytes is over the limit of %d", len(id), maxIDBytes)
	}
	return l.base + "/" + pathSegment + "/" + l.signer.Sign(Artwork{Kind: kind, ID: id, Size: size}), nil
}
