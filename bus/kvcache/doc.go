// Package kvcache keeps what plugins cache in a KV bucket, with a copy of it in memory.
package kvcache
