//go:build !unkept

package scrobble

// keepsUntilTaken says that a play stays in its queue until the plugin has taken it. The chaos suite builds replicas that
// do not keep it, to show that it would notice.
const keepsUntilTaken = true
