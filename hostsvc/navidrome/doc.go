// Package navidrome is the way of the host services to Navidrome, over HTTP.
//
// A stock Navidrome serves it as it would serve an authenticating reverse proxy: it
// believes the user name in one request header, if the request comes from an address
// that it trusts. It needs two settings, whose names depend on its version:
//
//	what                         0.57 and 0.58             newer
//	our address, as a CIDR       ReverseProxyWhitelist     ExtAuth.TrustedSources
//	the header, "Remote-User"    ReverseProxyUserHeader    ExtAuth.UserHeader
//
// Where either is missing, Navidrome answers with Subsonic error 40, as for a wrong
// password. Whatever else can reach Navidrome from a trusted address can log in as
// anybody: the address should be that of the plugin host alone.
package navidrome
