package jet_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// A program changes a record that others change, too: it begins again if somebody was faster.
func Example() {
	conn, err := nats.Connect(nats.DefaultURL, nats.MaxReconnects(-1))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	handle, err := jet.New(jet.Config{Conn: conn, Patience: 30 * time.Second, Lease: 3 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer handle.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	records, err := handle.OpenRecords(ctx, jet.ScheduleBucket)
	if err != nil {
		fmt.Println(err)
		return
	}
	for {
		key, schedule := subjects.ScheduleKey("ticker", "reconnect"), subjects.ScheduleRecord{}
		revision, err := records.Get(ctx, key, &schedule)
		if err == nil {
			schedule.Due = schedule.Due.Add(time.Hour)
			_, err = records.Update(ctx, key, schedule, revision)
		}
		if !errors.Is(err, jet.ErrMoved) {
			fmt.Println(err)
			return
		}
	}
}
