// Package cluster is what replicas agree on: who is alive, who leads, which OnInit has run once for
// all of them, which secrets they share, and what is to go with a plugin that was removed.
package cluster
