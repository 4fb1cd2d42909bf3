// Package testenv sets up the real things that tests run against: NATS servers,
// one or a cluster of three, plugins folders, and replicas in this process or
// as processes of their own. Everything ends with the test.
package testenv
