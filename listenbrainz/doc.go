// Package listenbrainz is an HTTP listener that takes plays as ListenBrainz does: a stock Navidrome, or a player, that
// has its address in the place of https://api.listenbrainz.org/1/ scrobbles to the host.
//
//	GET  /1/validate-token   whose token it is
//	POST /1/submit-listens   playing_now, single, import
//
// The answers are chosen by what Navidrome does with them. What it shall send again is 503: the token cannot be looked up, the
// play cannot be stored, there is no room. What it shall drop is 400: nobody will ever be able to read it. 401 is that a
// token is certainly not known. 429, which Navidrome takes for a refusal of the play, is never sent. Any other path
// is 404 and any other method 405. Every answer of this package is JSON.
//
// The token is taken from the header only: `Authorization: Token <token>`. ListenBrainz also knows ?token=, which would leave secrets in
// the logs of proxies. The listener speaks plain HTTP/1.1: TLS is for a proxy in front of it.
package listenbrainz
