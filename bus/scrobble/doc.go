// Package scrobble keeps plays until plugins have taken them. What is published lies in a stream,
// the intake; the Router of the replica that leads moves it to queues, one for each user and plugin; a
// Worker for each plugin on each replica works on them, one play of a queue after the other.
//
// The record of a queue decides who works on it: a replica claims a play there by compare-and-set before it calls
// the plugin, and whoever finds the claim of a replica that is gone goes on. A play that is done leaves a
// mark in its place, so that it is not taken again. No consumer has anything to do with what waits.
package scrobble
