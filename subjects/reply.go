package subjects

import "strings"

// InboxPrefix begins the subjects on which hosts get the answers to their own
// requests, so that permissions can keep them from others.
const InboxPrefix = "_INBOX_pluginhost"

// CoreInboxPrefix begins those that JetStream alone may answer on: what follows it is
// told to nobody else.
const CoreInboxPrefix = InboxPrefix + ".core"

// DoorInboxPrefix begins the subjects on which a host gets the answers of plugins that it calls as others do, for
// who comes to it by a door beside NATS. Any host may answer there.
const DoorInboxPrefix = InboxPrefix + "_door"

// MayReply says whether a request may be answered on its reply subject. A server
// does not check whether who sends a request may publish there, and hosts may
// publish nearly everywhere: on subjects of JetStream, of hosts or of Navidrome
// an answer would do what the sender may not.
func MayReply(subject string) bool {
	for _, reserved := range []string{"$", "plugins.", "pluginhost.", "scrobbles.", "plays.", "deadplays.", "fires.", "navidrome.", InboxPrefix + "."} {
		if strings.HasPrefix(subject, reserved) {
			return false
		}
	}
	return subject != "" && subject != ScrobbleAll
}

// IsHostReply says whether a reply subject is the inbox of a replica.
func IsHostReply(reply string) bool { return strings.HasPrefix(reply, InboxPrefix+".") }
