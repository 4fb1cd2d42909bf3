package wire_test

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// stored adds how the streams and their consumers are configured, and what the buckets have.
func (s *session) stored() {
	s.t.Helper()
	js, err := jetstream.New(s.conn)
	if err != nil {
		s.t.Fatal(err)
	}
	var streams []string
	listed := js.StreamNames(s.t.Context())
	for name := range listed.Name() {
		streams = append(streams, name)
	}
	if err := listed.Err(); err != nil {
		s.t.Fatal(err)
	}
	slices.Sort(streams)
	for _, name := range streams {
		stream, err := js.Stream(s.t.Context(), name)
		if err != nil {
			s.t.Fatal(err)
		}
		s.transcript.document("stream "+name, s.json(stream.CachedInfo().Config))
		var consumers []string
		infos := stream.ListConsumers(s.t.Context())
		for info := range infos.Info() {
			consumers = append(consumers, "consumer of "+name+"\n"+indent(s.json(info.Config)))
		}
		if err := infos.Err(); err != nil {
			s.t.Fatal(err)
		}
		for _, consumer := range s.transcript.sorted(consumers) {
			s.transcript.text.WriteString(consumer)
		}
		if bucket, ok := strings.CutPrefix(name, "KV_"); ok {
			s.bucket(js, bucket)
		}
	}
}

// bucket adds what a bucket has, but for what is written each second.
func (s *session) bucket(js jetstream.JetStream, name string) {
	s.t.Helper()
	bucket, err := js.KeyValue(s.t.Context(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	listed, err := bucket.ListKeys(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	var entries []string
	for key := range listed.Keys() {
		subject := "$KV." + name + "." + key
		if background(subject) {
			continue
		}
		entry, err := bucket.Get(s.t.Context(), key)
		if err != nil {
			s.t.Fatal(err)
		}
		entries = append(entries, "bucket "+name+" "+key+"\n"+indent(body(&nats.Msg{Subject: subject, Data: entry.Value()})))
	}
	for _, entry := range s.transcript.sorted(entries) {
		s.transcript.text.WriteString(entry)
	}
}

func (s *session) json(of any) string {
	s.t.Helper()
	text, err := json.Marshal(of)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}
