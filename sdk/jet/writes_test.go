package jet

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/subjects"
)

const lease = 3 * time.Second

func TestWritesThatFailForLongAreAFaultOfTheirStream(t *testing.T) {
	refused := func(status int, code jetstream.ErrorCode) error {
		return &jetstream.APIError{Code: status, ErrorCode: code}
	}
	long := time.Now().Add(-2*lease - time.Second)
	for name, test := range map[string]struct {
		stream string
		begun  time.Time
		count  int
		err    error
		want   bool
	}{
		"no answer for long":                    {StateBucket.Stream(), long, faultCount, context.DeadlineExceeded, true},
		"no answer for a moment":                {StateBucket.Stream(), time.Now().Add(-lease), faultCount, context.DeadlineExceeded, false},
		"one that waited while we were stopped": {StateBucket.Stream(), long, 1, context.DeadlineExceeded, false},
		"a caller in a hurry":                   {CacheBucket.Stream(), time.Now(), faultCount, context.DeadlineExceeded, false},
		"a caller that is gone":                 {CacheBucket.Stream(), long, faultCount, context.Canceled, false},
		"a limit":                               {CacheBucket.Stream(), long, faultCount, refused(503, codeInsufficient), true},
		"a limit of a bucket":                   {CacheBucket.Stream(), long, faultCount, refused(503, CodeSubjectFull), true},
		"a fire that is queued":                 {subjects.FireStream, long, faultCount, refused(503, CodeSubjectFull), false},
		"somebody else was faster":              {ScheduleBucket.Stream(), long, faultCount, refused(400, jetstream.JSErrCodeStreamWrongLastSequence), false},
		"something has moved":                   {ScheduleBucket.Stream(), long, faultCount, ErrMoved, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWrites(lease)
			for range test.count {
				w.Note(test.stream, test.begun, test.err)
			}
			fault, err := w.Fault(time.Now())
			if (err != nil) != test.want || test.want && (fault.Stream != test.stream || !errors.Is(err, test.err)) {
				t.Errorf("%+v, %v", fault, err)
			}
			w.Note(test.stream, time.Now(), nil)
			if fault, err := w.Fault(time.Now()); err != nil {
				t.Errorf("after a write that was carried out: %+v, %v", fault, err)
			}
		})
	}
}

func TestReadsWithoutAnAnswerForLongAreAFaultOfTheirStream(t *testing.T) {
	long := time.Now().Add(-2*lease - time.Second)
	for name, test := range map[string]struct {
		begun time.Time
		err   error
		want  bool
	}{
		"no answer for long":     {long, context.DeadlineExceeded, true},
		"no answer for a moment": {time.Now().Add(-lease), context.DeadlineExceeded, false},
		"nothing is there":       {long, jetstream.ErrMsgNotFound, false},
		"a refusal":              {long, &jetstream.APIError{Code: 503}, false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, stream := range []string{StateBucket.Stream(), ScheduleBucket.Stream(), CacheBucket.Stream()} {
				for over, answered := range map[string]func(*Writes){
					"a read":  func(w *Writes) { w.NoteRead(stream, time.Now(), jetstream.ErrMsgNotFound) },
					"a write": func(w *Writes) { w.Note(stream, time.Now(), nil) },
				} {
					w := newWrites(lease)
					for range faultCount {
						w.NoteRead(stream, test.begun, test.err)
					}
					fault, err := w.Fault(time.Now())
					if (err != nil) != test.want || test.want && fault.Stream != stream {
						t.Errorf("%s: %+v, %v", stream, fault, err)
					}
					answered(w)
					if fault, err := w.Fault(time.Now()); err != nil {
						t.Errorf("after %s that was answered: %+v, %v", over, fault, err)
					}
				}
			}
		})
	}
}

// A read that is answered does not tell that writes are taken.
func TestAReadThatIsAnsweredEndsNoFaultOfWrites(t *testing.T) {
	w, long := newWrites(lease), time.Now().Add(-2*lease-time.Second)
	for range faultCount {
		w.Note(ScheduleBucket.Stream(), long, context.DeadlineExceeded)
		w.NoteRead(ScheduleBucket.Stream(), time.Now(), nil)
	}
	if _, err := w.Fault(time.Now()); err == nil {
		t.Error("there is no fault")
	}
}
