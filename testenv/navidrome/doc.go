// Package navidrome is a Navidrome for tests: a real HTTP server on a loopback
// address that answers the Subsonic API as a stock Navidrome 0.58 to 0.63 does
// towards an address that it trusts for external authentication.
//
// It knows the users joe, bob (plain) and alice (admin), whose names match whatever
// their case; the song t1, its album al1 and its artist ar1; and a cover of each.
package navidrome
