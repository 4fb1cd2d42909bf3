package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
)

func newTokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make tokens that let HTTP clients in, look at them, revoke them",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  help,
	}
	cmd.AddCommand(newTokenCreateCommand(), newTokenListCommand(), newTokenRevokeCommand())
	return cmd
}

func newTokenCreateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create --scope SCOPE",
		Short: "Make a token, and print it: it is shown this once",
		Long: `Make a token that is good on every replica at once, and print it on a line of its
own. It is kept nowhere: who has lost it makes another one and revokes the first.

A scope says what its bearer may do: scrobble, hand over plays; call, call methods
of plugins; view, see what operators see; admin, change it.

With --user it is that user's, as players and the listener for ListenBrainz need it.
Without, its bearer acts for all users: a music server, or a bridge in one.`,
		Example: `  pluginhost token create --user joe --scope scrobble
  pluginhost token create --user joe --user-id 1Xn3kS --scope scrobble --plugin lastfm --expires 90d
  pluginhost token create --user joe --scope scrobble > joe.token
  pluginhost token create --scope call,scrobble > navidrome.token`,
		Args: usageArgs(cobra.NoArgs),
		RunE: tokenCreate,
	}
	addClientFlags(cmd.Flags())
	cmd.Flags().String("user", "", "name of the user that the bearer is (default none: it acts for all)")
	cmd.Flags().String("user-id", "", "the music server's id of the user, if plugins need it")
	cmd.Flags().StringSlice("scope", nil, "what the bearer may do: "+strings.Join(scopes(subjects.AccessScopes()), ", ")+"; several with commas")
	cmd.Flags().String("expires", "", "after how long it ends, such as 12h or 90d (default never)")
	cmd.Flags().String("plugin", "", "id of the only plugin that it is for (default all)")
	return cmd
}

func newTokenListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the tokens, without what is secret of them",
		Long: `List the tokens in the order in which they were made, and those that have expired
for another month. LAST USED is to the hour.`,
		Example: `  pluginhost token list
  pluginhost token list --json`,
		Args: usageArgs(cobra.NoArgs),
		RunE: tokenList,
	}
	addClientFlags(cmd.Flags())
	return cmd
}

func newTokenRevokeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "Revoke a token: no replica takes it any more",
		Long: `Revoke a token: once the command is done no replica takes it any more.

ID is what the list shows, and not the token.`,
		Example: `  pluginhost token revoke 82283c5a24e2`,
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE:    tokenRevoke,
	}
	addClientFlags(cmd.Flags())
	return cmd
}

// tokenCreateDocument is what --json prints.
type tokenCreateDocument struct {
	V     int    `json:"v"`
	Token string `json:"token"`
	subjects.AccessTokenRecord
}

func tokenCreate(cmd *cobra.Command, _ []string) error {
	grant, err := givenGrant(cmd, time.Now())
	if err != nil {
		return usageError{err}
	}
	caller, conn, config, err := connectUntilRefused(cmd)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), client.DefaultTimeout)
	defer cancel()
	secret, record, err := caller.CreateAccessToken(ctx, grant)
	if err != nil {
		return err
	}
	if config.JSON {
		return printJSON(cmd.OutOrStdout(), tokenCreateDocument{subjects.Version, secret, record})
	}
	if _, err := fmt.Fprintln(cmd.OutOrStdout(), secret); err != nil {
		return fmt.Errorf("the token was made and could not be printed, revoke it with pluginhost token revoke %s: %w", record.ID, err)
	}
	_, err = fmt.Fprintf(cmd.ErrOrStderr(), "Nobody can show it again: give it to %s, and to nobody else.\nTo revoke it: pluginhost token revoke %s\n", bearer(grant), record.ID)
	return err
}

// bearer says who gets a token.
func bearer(grant subjects.AccessTokenGrant) string {
	if grant.User == "" {
		return "the program that acts for all users"
	}
	return "the player or music server of " + printable(grant.User)
}

// givenGrant is what the flags ask for.
func givenGrant(cmd *cobra.Command, now time.Time) (grant subjects.AccessTokenGrant, err error) {
	grant.User, _ = cmd.Flags().GetString("user")
	grant.UserID, _ = cmd.Flags().GetString("user-id")
	grant.Plugin, _ = cmd.Flags().GetString("plugin")
	words, _ := cmd.Flags().GetStringSlice("scope")
	for _, word := range words {
		grant.Scopes = append(grant.Scopes, subjects.AccessScope(strings.TrimSpace(word)))
	}
	if text, _ := cmd.Flags().GetString("expires"); text != "" {
		lasts, err := parseLong(text)
		if err != nil {
			return grant, fmt.Errorf("--expires: %w", err)
		}
		grant.Expires = now.Add(lasts).UTC().Truncate(time.Second)
	}
	return grant, grant.Check()
}

// maxDays is what a time.Duration can have.
const maxDays = math.MaxInt64 / int64(24*time.Hour)

// parseLong reads a time above a second that may be in whole days.
func parseLong(text string) (time.Duration, error) {
	wrong := fmt.Errorf("%q is no time such as 12h or 90d", text)
	lasts, err := time.ParseDuration(text)
	if days, is := strings.CutSuffix(text, "d"); is {
		n, parseErr := strconv.ParseInt(days, 10, 64)
		if parseErr != nil || n > maxDays {
			return 0, wrong
		}
		lasts, err = time.Duration(n)*24*time.Hour, nil
	}
	if err != nil {
		return 0, wrong
	}
	if lasts <= time.Second {
		return 0, errors.New("want more than a second")
	}
	return lasts, nil
}

// tokenListDocument is what --json prints.
type tokenListDocument struct {
	V      int                          `json:"v"`
	Tokens []subjects.AccessTokenRecord `json:"tokens"`
}

func tokenList(cmd *cobra.Command, _ []string) error {
	caller, conn, config, err := connectUntilRefused(cmd)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), client.DefaultTimeout)
	defer cancel()
	tokens, unreadable := caller.AccessTokens(ctx)
	if tokens == nil {
		return unreadable
	}
	if config.JSON {
		return errors.Join(printJSON(cmd.OutOrStdout(), tokenListDocument{V: subjects.Version, Tokens: tokens}), unreadable)
	}
	table := newTable(cmd.OutOrStdout(), "ID", "USER", "SCOPES", "PLUGIN", "CREATED", "EXPIRES", "LAST USED")
	for _, t := range tokens {
		expires := moment(t.Expires)
		if t.Expired(time.Now()) {
			expires = "expired " + expires
		}
		table.row(t.ID, cmp.Or(t.User, "-"), strings.Join(scopes(t.Scopes), ","), cmp.Or(t.Plugin, "-"), moment(t.Created), expires, moment(t.LastUsed))
	}
	return errors.Join(table.flush(), unreadable)
}

func scopes(all []subjects.AccessScope) []string {
	words := make([]string, len(all))
	for i, scope := range all {
		words[i] = string(scope)
	}
	return words
}

// tokenRevokeDocument is what --json prints.
type tokenRevokeDocument struct {
	V       int    `json:"v"`
	Revoked string `json:"revoked"`
}

func tokenRevoke(cmd *cobra.Command, args []string) error {
	id := args[0]
	if !subjects.IsAccessTokenID(id) { // which may be the token, and is not shown
		return usageError{errors.New("that is no ID such as pluginhost token list shows")}
	}
	caller, conn, config, err := connectUntilRefused(cmd)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), client.DefaultTimeout)
	defer cancel()
	found, err := caller.RevokeAccessToken(ctx, id)
	switch {
	case err != nil:
		return fmt.Errorf("it may still be good, try again: %w", err)
	case !found:
		return fmt.Errorf("there is no token %s: see pluginhost token list", id)
	case config.JSON:
		return printJSON(cmd.OutOrStdout(), tokenRevokeDocument{V: subjects.Version, Revoked: id})
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "revoked %s\n", id)
	return err
}
