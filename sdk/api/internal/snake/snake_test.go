package snake

import "testing"

func TestCaseGivesTheNamesOfTheContract(t *testing.T) {
	for name, want := range map[string]string{
		"MetadataAgentGetArtistMBID":           "metadata_agent_get_artist_mbid",
		"ScrobblerIsAuthorized":                "scrobbler_is_authorized",
		"WebSocketCallbackOnTextMessage":       "web_socket_callback_on_text_message",
		"LifecycleManagementOnInit":            "lifecycle_management_on_init",
		"SchedulerCallbackOnSchedulerCallback": "scheduler_callback_on_scheduler_callback",
		"GetArtistUrl":                         "get_artist_url",
		"GetArtistURL":                         "get_artist_url",
		"Get":                                  "get",
	} {
		if got := Case(name); got != want {
			t.Errorf("Case(%q) = %q, want %q", name, got, want)
		}
	}
}
