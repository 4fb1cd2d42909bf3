package client

import (
	"context"
	"errors"

	"github.com/pluginhost/pluginhost/sdk/tokenstore"
	"github.com/pluginhost/pluginhost/subjects"
)

// CreateAccessToken makes a token, which is good on every replica at once, and returns its secret: nobody
// can tell that again. The error is [tokenstore.ErrTooMany] if there are as many as may be, and
// [tokenstore.ErrNoStore] if no replica has ever run. The user needs the rights of an operator, for the other
// methods for tokens, too.
func (c *Client) CreateAccessToken(ctx context.Context, grant subjects.AccessTokenGrant) (secret string, record subjects.AccessTokenRecord, err error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	store, err := c.tokens(ctx)
	if err != nil {
		return "", record, err
	}
	return store.Create(ctx, grant)
}

// AccessTokens returns all tokens in the order in which they were made, and those that have expired for another month.
// Records that cannot be read are left out, and are the error.
func (c *Client) AccessTokens(ctx context.Context) ([]subjects.AccessTokenRecord, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	store, err := c.tokens(ctx)
	if errors.Is(err, tokenstore.ErrNoStore) {
		return []subjects.AccessTokenRecord{}, nil
	}
	if err != nil {
		return nil, err
	}
	return store.List(ctx)
}

// RevokeAccessToken ends the token with a public id, on every replica at once, and says whether there was one.
func (c *Client) RevokeAccessToken(ctx context.Context, id string) (bool, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	store, err := c.tokens(ctx)
	if err == nil {
		err = store.Revoke(ctx, id)
	}
	if errors.Is(err, tokenstore.ErrUnknown) || errors.Is(err, tokenstore.ErrNoStore) {
		return false, nil
	}
	return err == nil, err
}

func (c *Client) tokens(ctx context.Context) (*tokenstore.Store, error) {
	js, err := c.jetStream()
	if err != nil {
		return nil, err
	}
	return tokenstore.Open(ctx, js)
}
