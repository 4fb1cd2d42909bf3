// Package socket keeps the records of all WebSockets, by which each has one owner among the replicas,
// and is the way to that owner.
package socket
