module github.com/pluginhost/pluginhost/sdk

go 1.25.0

require (
	github.com/nats-io/nats.go v1.48.0
	github.com/nats-io/nuid v1.0.1
	github.com/pluginhost/pluginhost/subjects v0.1.0
	google.golang.org/protobuf v1.36.10
)

require (
	github.com/klauspost/compress v1.18.0 // indirect
	github.com/nats-io/nkeys v0.4.11 // indirect
	golang.org/x/crypto v0.37.0 // indirect
	golang.org/x/sys v0.32.0 // indirect
)

replace github.com/pluginhost/pluginhost/subjects => ../subjects
