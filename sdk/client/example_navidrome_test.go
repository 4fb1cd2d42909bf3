package client_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
)

// The first half is what a music server such as Navidrome has already: what it asks for, and how it wants to be told of failures.

var (
	errNotFound      = errors.New("not found")
	errNotAuthorized = errors.New("not authorized")
	errRetryLater    = errors.New("retry later")
	errUnrecoverable = errors.New("unrecoverable")
)

type (
	artist        struct{ Name, MBID string }
	song          struct{ Name, MBID string }
	albumInfo     struct{ Name, MBID, Description, URL string }
	externalImage struct {
		URL  string
		Size int
	}
)

// agent is a source of metadata. What it does not know is errNotFound, upon which the next one is asked; that nobody knows is
// remembered for a day, so that no other error may become it.
type agent interface {
	AgentName() string
	GetArtistMBID(ctx context.Context, id, name string) (string, error)
	GetArtistURL(ctx context.Context, id, name, mbid string) (string, error)
	GetArtistBiography(ctx context.Context, id, name, mbid string) (string, error)
	GetSimilarArtists(ctx context.Context, id, name, mbid string, limit int) ([]artist, error)
	GetArtistImages(ctx context.Context, id, name, mbid string) ([]externalImage, error)
	GetArtistTopSongs(ctx context.Context, id, artistName, mbid string, count int) ([]song, error)
	GetAlbumInfo(ctx context.Context, name, artist, mbid string) (*albumInfo, error)
	GetAlbumImages(ctx context.Context, name, artist, mbid string) ([]externalImage, error)
}

type role string

type participant struct{ Name, MbzArtistID string }

type mediaFile struct {
	ID, Title, Album                              string
	MbzRecordingID, MbzAlbumID, MbzReleaseGroupID string
	Duration                                      float32 // in seconds
	TrackNumber, DiscNumber                       int
	Participants                                  map[role][]participant
}

type scrobble struct {
	mediaFile
	TimeStamp time.Time
}

// scrobbler is where plays go to. A play is kept and sent again after errRetryLater, and dropped after any other error.
type scrobbler interface {
	IsAuthorized(ctx context.Context, userID string) bool
	NowPlaying(ctx context.Context, userID string, track *mediaFile, position int) error
	Scrobble(ctx context.Context, userID string, s scrobble) error
}

// From here on it is what a server adds: its interfaces, made of package client.

var (
	_ agent     = pluginAgent{}
	_ scrobbler = pluginScrobbler{}
)

// pluginAgent is the agent of a plugin.
type pluginAgent struct {
	id     string
	plugin api.MetadataAgent
}

func (a pluginAgent) AgentName() string { return a.id }

// found is a value of an answer. An empty one is not found, as otherwise no other agent would be asked.
func found[T any](value T, empty bool, err error) (T, error) {
	var none T
	switch {
	case errors.Is(err, api.ErrNotFound), errors.Is(err, api.ErrNotImplemented), err == nil && empty:
		return none, errNotFound
	case err != nil:
		return none, err // nobody knows, as in an outage
	default:
		return value, nil
	}
}

func text(value string, err error) (string, error) { return found(value, value == "", err) }

func list[From, To any](values []From, convert func(From) To, err error) ([]To, error) {
	all := make([]To, len(values))
	for i, value := range values {
		all[i] = convert(value)
	}
	return found(all, len(all) == 0, err)
}

func image(i *api.ExternalImage) externalImage { return externalImage{i.GetUrl(), int(i.GetSize())} }

func (a pluginAgent) GetArtistMBID(ctx context.Context, id, name string) (string, error) {
	answer, err := a.plugin.GetArtistMBID(ctx, &api.ArtistMBIDRequest{Id: id, Name: name})
	return text(answer.GetMbid(), err)
}

func (a pluginAgent) GetArtistURL(ctx context.Context, id, name, mbid string) (string, error) {
	answer, err := a.plugin.GetArtistURL(ctx, &api.ArtistURLRequest{Id: id, Name: name, Mbid: mbid})
	return text(answer.GetUrl(), err)
}

func (a pluginAgent) GetArtistBiography(ctx context.Context, id, name, mbid string) (string, error) {
	answer, err := a.plugin.GetArtistBiography(ctx, &api.ArtistBiographyRequest{Id: id, Name: name, Mbid: mbid})
	return text(answer.GetBiography(), err)
}

func (a pluginAgent) GetSimilarArtists(ctx context.Context, id, name, mbid string, limit int) ([]artist, error) {
	answer, err := a.plugin.GetSimilarArtists(ctx, &api.ArtistSimilarRequest{Id: id, Name: name, Mbid: mbid, Limit: int32(limit)})
	return list(answer.GetArtists(), func(s *api.Artist) artist { return artist{s.GetName(), s.GetMbid()} }, err)
}

func (a pluginAgent) GetArtistImages(ctx context.Context, id, name, mbid string) ([]externalImage, error) {
	answer, err := a.plugin.GetArtistImages(ctx, &api.ArtistImageRequest{Id: id, Name: name, Mbid: mbid})
	return list(answer.GetImages(), image, err)
}

func (a pluginAgent) GetArtistTopSongs(ctx context.Context, id, artistName, mbid string, count int) ([]song, error) {
	answer, err := a.plugin.GetArtistTopSongs(ctx, &api.ArtistTopSongsRequest{Id: id, ArtistName: artistName, Mbid: mbid, Count: int32(count)})
	return list(answer.GetSongs(), func(s *api.Song) song { return song{s.GetName(), s.GetMbid()} }, err)
}

func (a pluginAgent) GetAlbumInfo(ctx context.Context, name, artist, mbid string) (*albumInfo, error) {
	answer, err := a.plugin.GetAlbumInfo(ctx, &api.AlbumInfoRequest{Name: name, Artist: artist, Mbid: mbid})
	info := answer.GetInfo()
	album := &albumInfo{info.GetName(), info.GetMbid(), info.GetDescription(), info.GetUrl()}
	return found(album, *album == albumInfo{}, err)
}

func (a pluginAgent) GetAlbumImages(ctx context.Context, name, artist, mbid string) ([]externalImage, error) {
	answer, err := a.plugin.GetAlbumImages(ctx, &api.AlbumImagesRequest{Name: name, Artist: artist, Mbid: mbid})
	return list(answer.GetImages(), image, err)
}

// pluginScrobbler is the scrobbler of a plugin.
type pluginScrobbler struct {
	plugin client.Scrobbler
	queue  client.Scrobbles
	// userName finds the name of a user: what is sent from a buffer has no user in its context.
	userName func(ctx context.Context, userID string) string
}

func (s pluginScrobbler) user(ctx context.Context, userID string) client.User {
	return client.User{ID: userID, Name: s.userName(ctx, userID)}
}

// IsAuthorized is what the plugin said last, during an outage: for a no the play would be dropped.
func (s pluginScrobbler) IsAuthorized(ctx context.Context, userID string) bool {
	authorized, err := s.plugin.IsAuthorized(ctx, s.user(ctx, userID))
	return authorized && err == nil
}

func (s pluginScrobbler) NowPlaying(ctx context.Context, userID string, track *mediaFile, position int) error {
	return outcome(s.plugin.NowPlaying(ctx, s.user(ctx, userID), trackInfo(track, position), time.Now()))
}

// Scrobble hands the play to the durable queue of the plugin, which takes it once however often it comes.
func (s pluginScrobbler) Scrobble(ctx context.Context, userID string, play scrobble) error {
	return outcome(s.queue.Submit(ctx, s.user(ctx, userID), trackInfo(&play.mediaFile, 0), play.TimeStamp))
}

// outcome makes one of the server's errors of one of client's.
func outcome(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, client.ErrRetryLater):
		return fmt.Errorf("%w: %w", errRetryLater, err)
	case errors.Is(err, client.ErrNotAuthorized):
		return fmt.Errorf("%w: %w", errNotAuthorized, err)
	default:
		return fmt.Errorf("%w: %w", errUnrecoverable, err)
	}
}

// trackInfo is a track as plugins have it; position is how many seconds of it were played.
func trackInfo(track *mediaFile, position int) *api.TrackInfo {
	return &api.TrackInfo{
		Id: track.ID, Mbid: track.MbzRecordingID, Name: track.Title,
		Album: track.Album, AlbumMbid: track.MbzAlbumID, ReleaseGroupMbid: track.MbzReleaseGroupID,
		Artists: artists(track.Participants["artist"]), AlbumArtists: artists(track.Participants["albumartist"]),
		Length: int32(track.Duration), DurationMs: int64(track.Duration * 1000), Position: int32(position),
		TrackNumber: int32(track.TrackNumber), DiscNumber: int32(track.DiscNumber),
	}
}

func artists(all []participant) []*api.Artist {
	converted := make([]*api.Artist, len(all))
	for i, one := range all {
		converted[i] = &api.Artist{Name: one.Name, Mbid: one.MbzArtistID}
	}
	return converted
}

// sources are the plugins of a cluster, as a music server sees them.
type sources struct {
	client   *client.Client
	plugins  *client.FollowedPlugins
	userName func(ctx context.Context, userID string) string
}

// agents are those that there are now: the list is looked at each time, which costs nothing.
func (s sources) agents() (all []agent) {
	for _, plugin := range s.plugins.Plugins("MetadataAgent") {
		all = append(all, s.agent(plugin.ID))
	}
	return all
}

func (s sources) agent(id string) agent { return pluginAgent{id, s.client.MetadataAgent(id)} }

func (s sources) scrobbler(id string) scrobbler {
	return pluginScrobbler{s.client.Scrobbler(id), s.client.Scrobbles().To(id), s.userName}
}

// A music server such as Navidrome asks plugins through its own interfaces. Here it does during an outage: it must not remember
// that nothing is known, and must keep the play.
func Example_navidrome() {
	conn, err := client.Connect("nats://127.0.0.1:1", nats.RetryOnFailedConnect(true)) // where no server is
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	ctx, c := context.Background(), client.New(conn, client.WithTimeout(100*time.Millisecond))
	plugins, err := c.FollowPlugins(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer plugins.Stop()
	server := sources{c, plugins, func(context.Context, string) string { return "joe" }}

	_, err = server.agent("wikipedia").GetArtistBiography(ctx, "1", "Nina Simone", "")
	_, away := plugins.Stale()
	fmt.Println(len(server.agents()), "agents; away:", away != nil, "not found:", errors.Is(err, errNotFound))

	track := mediaFile{ID: "t1", Title: "Sinnerman", Duration: 622.5, Participants: map[role][]participant{"artist": {{Name: "Nina Simone"}}}}
	err = server.scrobbler("webhook").Scrobble(ctx, "1", scrobble{track, time.Now()})
	fmt.Println("sent again:", errors.Is(err, errRetryLater))
	// Output:
	// 0 agents; away: true not found: false
	// sent again: true
}
