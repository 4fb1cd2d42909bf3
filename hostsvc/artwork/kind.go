package artwork

// Kind is what an image is of.
type Kind string

// The kinds of images.
const (
	Artist Kind = "artist"
	Album  Kind = "album"
	Track  Kind = "track"
)

// Artwork is an image of Navidrome.
type Artwork struct {
	// Kind says what ID is the id of.
	Kind Kind
	// ID is an id of Navidrome: any bytes, at most 512 of them.
	ID string
	// Size is in pixels; 0 and less is the original's.
	Size int
}

// CoverID is Navidrome's artwork id, such as al-<id>_0, and "" without an
// ID or with another kind.
func (a Artwork) CoverID() string {
	prefix := map[Kind]string{Artist: "ar-", Album: "al-", Track: "mf-"}[a.Kind]
	if prefix == "" || a.ID == "" {
		return ""
	}
	return prefix + a.ID + "_0"
}
