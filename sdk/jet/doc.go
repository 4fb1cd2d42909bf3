// Package jet is what a program of pluginhost does with JetStream: it makes and opens streams and KV
// buckets, reads and writes their records, follows buckets, and tries again while nobody answers.
package jet
