package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
)

func newScrobblesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scrobbles",
		Short: "Look at the plays that wait for plugins, try or drop them",
		Long: `Look at the plays that wait for plugins, and at those which are dead letters.

A play that was accepted waits in the queue of its user at each plugin until the plugin
has taken it. One that no plugin will ever take becomes a dead letter.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: help,
	}
	cmd.AddCommand(newScrobblesListCommand(), newScrobblesDeadCommand(), newScrobblesRetryCommand(), newScrobblesPurgeCommand(), newScrobblesMoveCommand())
	return cmd
}

// addUserFlag lets a command look at one user alone.
func addUserFlag(cmd *cobra.Command) {
	cmd.Flags().String("user", "", "only of this user: a name, or an id of one whose name is not known")
}

func newScrobblesListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list [PLUGIN]",
		Short: "List the queues of one plugin or of all",
		Example: `  pluginhost scrobbles list
  pluginhost scrobbles list listenbrainz --user joe --json`,
		Args:              usageArgs(cobra.MaximumNArgs(1)),
		ValidArgsFunction: completePlugin(nil),
		RunE:              scrobblesList,
	}
	addClientFlags(cmd.Flags())
	addUserFlag(cmd)
	cmd.Flags().Bool("all", false, "also the queues in which nothing waits")
	return cmd
}

// scrobblesListDocument is what --json prints.
type scrobblesListDocument struct {
	V      int                    `json:"v"`
	Queues []subjects.QueueRecord `json:"queues"`
}

func scrobblesList(cmd *cobra.Command, args []string) error {
	caller, conn, config, err := connectUntilRefused(cmd)
	if err != nil {
		return err
	}
	defer conn.Close()
	user, _ := cmd.Flags().GetString("user")
	all, _ := cmd.Flags().GetBool("all")
	queues, unreadable := caller.Queues(cmd.Context(), strings.Join(args, ""), user)
	if queues == nil && unreadable != nil {
		return orRefusal(cmd.Context(), unreadable)
	}
	shown := []subjects.QueueRecord{}
	for _, q := range queues {
		if all || q.Waiting() > 0 {
			shown = append(shown, q)
		}
	}
	if config.JSON {
		return errors.Join(printJSON(cmd.OutOrStdout(), scrobblesListDocument{V: subjects.Version, Queues: shown}), unreadable)
	}
	table := newTable(cmd.OutOrStdout(), "PLUGIN", "USER", "WAITING", "OLDEST", "STATE", "NEXT", "DELIVERED", "DEAD", "SKIPPED")
	for _, q := range shown {
		table.row(dash(q.Plugin), q.User, number(q.Waiting()), moment(q.Oldest), queueState(q), moment(q.Wait), number(q.Delivered), number(q.Dead), number(q.Skipped))
	}
	return errors.Join(table.flush(), printQueueErrors(cmd, shown), unreadable)
}

// printQueueErrors says why plays were not delivered.
func printQueueErrors(cmd *cobra.Command, queues []subjects.QueueRecord) error {
	for _, q := range queues {
		if q.Head == nil || q.Head.Error == "" {
			continue
		}
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "\nThe next play of %s at %s was tried %d times: %s\n", printable(q.User), printable(q.Plugin), q.Head.Attempts, printable(q.Head.Error)); err != nil {
			return err
		}
	}
	return nil
}

// queueState says what a queue does.
func queueState(q subjects.QueueRecord) string {
	state := "empty"
	switch {
	case q.Plugin == "":
		return "unknown user"
	case q.Waiting() == 0:
	case !q.Paused.IsZero():
		state = "not authorized"
	case q.Claim != nil:
		state = "delivering"
	case q.Wait.After(time.Now()):
		state = "failing"
	default:
		state = "waiting"
	}
	if n := len(q.Aside); n > 0 {
		state += fmt.Sprintf(", %d set aside", n)
	}
	return state
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

func newScrobblesDeadCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead [PLUGIN]",
		Short: "List the dead letters of one plugin or of all, the oldest first",
		Example: `  pluginhost scrobbles dead
  pluginhost scrobbles dead listenbrainz --user joe --json`,
		Args:              usageArgs(cobra.MaximumNArgs(1)),
		ValidArgsFunction: completePlugin(nil),
		RunE:              scrobblesDead,
	}
	addClientFlags(cmd.Flags())
	addUserFlag(cmd)
	cmd.Flags().Int("limit", 100, "list no more than so many; 0 is all")
	return cmd
}

// deadLetter is a dead letter as --json prints it.
type deadLetter struct {
	Plugin   string              `json:"plugin"`
	User     string              `json:"user,omitempty"`
	Track    string              `json:"track,omitempty"`
	Artist   string              `json:"artist,omitempty"`
	Album    string              `json:"album,omitempty"`
	Played   time.Time           `json:"played,omitzero"`
	Accepted time.Time           `json:"accepted"`
	Died     time.Time           `json:"died"`
	Reason   subjects.DeadReason `json:"reason"`
	Error    string              `json:"error,omitempty"`
	Attempts int                 `json:"attempts"`
}

// newDeadLetter reads what a dead letter is of, as far as that can be read.
func newDeadLetter(dead subjects.DeadRecord) deadLetter {
	letter := deadLetter{
		Plugin: dead.Plugin, User: dead.User, Accepted: dead.Accepted, Died: dead.Died,
		Reason: dead.Reason, Error: dead.Error, Attempts: dead.Attempts,
	}
	var request api.ScrobblerScrobbleRequest
	if dead.Reason == subjects.DeadUnreadable || request.UnmarshalVT(dead.Request) != nil {
		return letter
	}
	var artists []string
	for _, artist := range request.Track.GetArtists() {
		artists = append(artists, artist.GetName())
	}
	letter.Track, letter.Album, letter.Artist = request.Track.GetName(), request.Track.GetAlbum(), strings.Join(artists, ", ")
	letter.Played = time.Unix(request.Timestamp, 0).UTC()
	return letter
}

// scrobblesDeadDocument is what --json prints.
type scrobblesDeadDocument struct {
	V    int          `json:"v"`
	Dead []deadLetter `json:"dead"`
	More bool         `json:"more,omitempty"` // there are more than --limit
}

func scrobblesDead(cmd *cobra.Command, args []string) error {
	caller, conn, config, err := connectUntilRefused(cmd)
	if err != nil {
		return err
	}
	defer conn.Close()
	user, _ := cmd.Flags().GetString("user")
	limit, _ := cmd.Flags().GetInt("limit")
	found := scrobblesDeadDocument{V: subjects.Version, Dead: []deadLetter{}}
	err = caller.DeadPlays(cmd.Context(), strings.Join(args, ""), user, func(dead subjects.DeadRecord) bool {
		if found.More = limit > 0 && len(found.Dead) == limit; !found.More {
			found.Dead = append(found.Dead, newDeadLetter(dead))
		}
		return !found.More
	})
	if err != nil {
		return orRefusal(cmd.Context(), err)
	}
	if config.JSON {
		return printJSON(cmd.OutOrStdout(), found)
	}
	table := newTable(cmd.OutOrStdout(), "PLUGIN", "USER", "TRACK", "ARTIST", "PLAYED", "DIED", "REASON", "ATTEMPTS", "ERROR")
	for _, d := range found.Dead {
		table.row(dash(d.Plugin), dash(d.User), dash(d.Track), dash(d.Artist), moment(d.Played), moment(d.Died), string(d.Reason), strconv.Itoa(d.Attempts), dash(d.Error))
	}
	err = table.flush()
	if err == nil && found.More {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "\nThere are more than %d: --limit 0 lists all.\n", limit)
	}
	return err
}

func newScrobblesRetryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "retry (PLUGIN | --all)",
		Short: "Have dead letters tried again",
		Long: `Have the dead letters of a plugin tried again, behind what waits: the oldest first, so that the
plays of a user keep their order. What is no play stays.`,
		Example: `  pluginhost scrobbles retry listenbrainz --user joe
  pluginhost scrobbles retry --all`,
		Args:              pluginOrAll,
		ValidArgsFunction: completePlugin(nil),
		RunE:              scrobblesRetry,
	}
	addClientFlags(cmd.Flags())
	addUserFlag(cmd)
	cmd.Flags().Bool("all", false, "of all plugins")
	return cmd
}

// pluginOrAll takes a plugin, or --all in its place.
func pluginOrAll(cmd *cobra.Command, args []string) error {
	want := 1
	if all, _ := cmd.Flags().GetBool("all"); all {
		want = 0
	}
	return usageArgs(cobra.ExactArgs(want))(cmd, args)
}

// scrobblesRetryDocument is what --json prints.
type scrobblesRetryDocument struct {
	V       int `json:"v"`
	Retried int `json:"retried"`
	Left    int `json:"left"` // they are no plays
}

func scrobblesRetry(cmd *cobra.Command, args []string) error {
	caller, conn, config, err := connectUntilRefused(cmd)
	if err != nil {
		return err
	}
	defer conn.Close()
	user, _ := cmd.Flags().GetString("user")
	done := scrobblesRetryDocument{V: subjects.Version}
	done.Retried, done.Left, err = caller.RetryDead(cmd.Context(), strings.Join(args, ""), user)
	if err != nil {
		return after(uint64(max(done.Retried, 0)), "are tried again", orRefusal(cmd.Context(), err))
	}
	if config.JSON {
		return printJSON(cmd.OutOrStdout(), done)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d are tried again%s\n", done.Retried, leftBehind(done.Left))
	return err
}

// after says what was done before something failed.
func after(n uint64, done string, err error) error {
	if n == 0 {
		return err
	}
	return fmt.Errorf("%d %s; then: %w", n, done, err)
}

func leftBehind(left int) string {
	if left == 0 {
		return ""
	}
	return fmt.Sprintf(", %d stay as they are no plays: pluginhost scrobbles purge drops them", left)
}

func newScrobblesPurgeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "purge PLUGIN",
		Short: "Drop what waits for a plugin, or its dead letters with --dead",
		Long: `Drop the plays that wait for a plugin, of all users or of one; with --dead its dead letters instead.
They are lost. What is delivered at this moment goes on. A play that was dropped, or delivered, is taken if it is
submitted again.`,
		Example: `  pluginhost scrobbles purge listenbrainz --user joe
  pluginhost scrobbles purge listenbrainz --dead --yes`,
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: completePlugin(nil),
		RunE:              scrobblesPurge,
	}
	addClientFlags(cmd.Flags())
	addUserFlag(cmd)
	cmd.Flags().Bool("dead", false, "drop dead letters")
	cmd.Flags().Bool("yes", false, "answer every question with yes")
	return cmd
}

// scrobblesPurgeDocument is what --json prints.
type scrobblesPurgeDocument struct {
	V      int    `json:"v"`
	Plugin string `json:"plugin"`
	Purged uint64 `json:"purged"`
}

func scrobblesPurge(cmd *cobra.Command, args []string) error {
	caller, conn, config, err := connectUntilRefused(cmd)
	if err != nil {
		return err
	}
	defer conn.Close()
	user, _ := cmd.Flags().GetString("user")
	dead, _ := cmd.Flags().GetBool("dead")
	what, whose := "the plays that wait", "all users"
	if dead {
		what = "the dead letters"
	}
	if user != "" {
		whose = "user " + printable(user)
	}
	if err := ask(cmd, fmt.Sprintf("Drop %s of %s at %s for good?", what, whose, printable(args[0]))); err != nil {
		return err
	}
	done := scrobblesPurgeDocument{V: subjects.Version, Plugin: args[0]}
	if done.Purged, err = purge(cmd.Context(), caller, args[0], user, dead); err != nil {
		return after(done.Purged, "were dropped", orRefusal(cmd.Context(), err))
	}
	if config.JSON {
		return printJSON(cmd.OutOrStdout(), done)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "dropped %d of %s\n", done.Purged, printable(done.Plugin))
	return err
}

func purge(ctx context.Context, caller *client.Client, id, user string, dead bool) (uint64, error) {
	if dead {
		purged, err := caller.PurgeDead(ctx, id, user)
		return uint64(max(purged, 0)), err
	}
	return caller.PurgePlays(ctx, id, user)
}

func newScrobblesMoveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "move OLD NEW",
		Short: "Move what waits for a plugin that was removed to another one",
		Long: `Move the plays that wait for a plugin which was removed to another one, such as the same under a
new name, in the order of each user.`,
		Example: `  pluginhost scrobbles move lastfm-old lastfm`,
		Args:    usageArgs(cobra.ExactArgs(2)),
		RunE:    scrobblesMove,
	}
	addClientFlags(cmd.Flags())
	return cmd
}

// scrobblesMoveDocument is what --json prints.
type scrobblesMoveDocument struct {
	V     int    `json:"v"`
	From  string `json:"from"`
	To    string `json:"to"`
	Moved int    `json:"moved"`
}

func scrobblesMove(cmd *cobra.Command, args []string) error {
	caller, conn, config, err := connectUntilRefused(cmd)
	if err != nil {
		return err
	}
	defer conn.Close()
	done := scrobblesMoveDocument{V: subjects.Version, From: args[0], To: args[1]}
	if done.Moved, err = caller.MovePlays(cmd.Context(), done.From, done.To); err != nil {
		return after(uint64(max(done.Moved, 0)), "were moved, and are not moved twice if it is done again", orRefusal(cmd.Context(), err))
	}
	if config.JSON {
		return printJSON(cmd.OutOrStdout(), done)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "moved %d from %s to %s\n", done.Moved, printable(done.From), printable(done.To))
	return err
}
