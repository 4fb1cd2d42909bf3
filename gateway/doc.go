// Package gateway lets whoever speaks HTTP call plugins. It is a client of the bus like any other: what it is asked goes to any replica that
// serves the plugin, so that one gateway fronts the whole cluster, and nothing is counted, limited or decided twice. What it
// bounds itself is how many requests there are, how much of their bodies is in memory, and how long they take.
//
// Package subjects has its paths, and the body of its failures.
package gateway
