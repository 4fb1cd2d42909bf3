// Package workqueue has replicas work on the messages of a JetStream work queue. Each message is
// with one of them at a time, which holds it as long as it works on it; one whose replica dies is
// handed out again. What a message means, and whether it was worked on before, is for whoever
// starts the Queue.
package workqueue
