// Package door is what the doors beside NATS have in common: who a request comes from, how often one may show a token that is not
// known, and how much of what is sent is in memory at once.
package door
