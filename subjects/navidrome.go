package subjects

// Subjects of requests that a Navidrome with a NATS connection answers, in the
// queue group NavidromeGroup. A failure has HeaderErrorCode and HeaderError.
const (
	// NavidromeSubsonic takes a SubsonicRequest. The reply's body is that of the
	// Subsonic API's answer, whatever its HTTP status.
	NavidromeSubsonic = "navidrome.subsonic"
	// NavidromeArtwork takes an ArtworkRequest and is answered with an
	// ArtworkReply.
	NavidromeArtwork = "navidrome.artwork"
	// NavidromeGroup is the queue group of those who answer.
	NavidromeGroup = "navidrome"
)

// SubsonicRequest asks Navidrome for one GET of its Subsonic API.
type SubsonicRequest struct {
	// V is Version.
	V int `json:"v"`
	// Plugin is the id of the plugin that asks.
	Plugin string `json:"plugin"`
	// User is whom it acts for. The host has checked that it may; no password is
	// needed.
	User string `json:"user"`
	// Endpoint is the last part of the path, such as getAlbumList2 or ping.view.
	Endpoint string `json:"endpoint"`
	// Query is the encoded query, with u, c, f and v.
	Query string `json:"query"`
}

// ArtworkRequest asks Navidrome for a public address of an image.
type ArtworkRequest struct {
	// V is Version.
	V int `json:"v"`
	// Plugin is the id of the plugin that asks.
	Plugin string `json:"plugin"`
	// Kind is what the image is of.
	Kind ArtworkKind `json:"kind"`
	// ID is Navidrome's id of the artist, album or track.
	ID string `json:"id"`
	// Size is in pixels; 0 is the original's.
	Size int `json:"size"`
}

// ArtworkKind is what an image is of.
type ArtworkKind string

// The kinds of artwork.
const (
	ArtworkArtist ArtworkKind = "artist"
	ArtworkAlbum  ArtworkKind = "album"
	ArtworkTrack  ArtworkKind = "track"
)

// ArtworkReply has the address.
type ArtworkReply struct {
	// V is Version.
	V int `json:"v"`
	// URL is the public address of the image.
	URL string `json:"url"`
}
