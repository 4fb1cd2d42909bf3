// Package extismhost calls plugins as Navidrome from 0.60 on does: with a new instance for every call, on Extism's Go SDK. It is
// for tests of plugins that a stock Navidrome loads, and has the host services that those of this repository use: configuration
// and HTTP.
package extismhost
