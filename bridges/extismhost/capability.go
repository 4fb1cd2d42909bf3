package extismhost

import (
	"slices"

	extism "github.com/extism/go-sdk"
)

// scrobbler is the capability that needs a permission.
const scrobbler = "Scrobbler"

// onInit is called after a plugin was loaded, if it is exported.
const onInit = "nd_on_init"

// capabilities are the exports of each capability: a plugin has it if it has one of them.
func capabilities() map[string][]string {
	return map[string][]string{
		"MetadataAgent": {
			"nd_get_artist_mbid", "nd_get_artist_url", "nd_get_artist_biography", "nd_get_artist_images", "nd_get_similar_artists",
			"nd_get_artist_top_songs", "nd_get_album_info", "nd_get_album_images", "nd_get_similar_songs_by_track",
			"nd_get_similar_songs_by_album", "nd_get_similar_songs_by_artist",
		},
		scrobbler: {
			"nd_scrobbler_is_authorized", "nd_scrobbler_now_playing", "nd_scrobbler_scrobble", "nd_scrobbler_playback_report",
		},
		"Lifecycle":       {onInit},
		"Lyrics":          {"nd_lyrics_get_lyrics"},
		"SonicSimilarity": {"nd_get_sonic_similar_tracks", "nd_find_sonic_path"},
		"TaskWorker":      {"nd_task_execute"},
		"Scheduler":       {"nd_scheduler_callback"},
		"WebSocket": {
			"nd_websocket_on_text_message", "nd_websocket_on_binary_message", "nd_websocket_on_error", "nd_websocket_on_close",
		},
	}
}

// detect says which capabilities an instance has, by name.
func detect(instance *extism.Plugin) []string {
	var found []string
	for capability, exports := range capabilities() {
		if slices.ContainsFunc(exports, instance.FunctionExists) {
			found = append(found, capability)
		}
	}
	slices.Sort(found)
	return found
}
