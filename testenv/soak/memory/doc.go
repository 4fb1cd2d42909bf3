// Package memory has plugins and callers take all the memory that they can get, in every
// way at once, and watches a replica in a process of its own: it stays within what deploy/
// gives it, keeps its lead, and answers every call of a plugin of 16 MB.
package memory
