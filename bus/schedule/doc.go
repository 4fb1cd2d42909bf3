// Package schedule keeps the schedules of all plugins in a KV bucket, and their fires in a work queue
// from which the replicas pull: a claim in the schedule's record decides who runs one.
package schedule
