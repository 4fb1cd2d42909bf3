package bus

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/subjects"
)

func TestWritesThatFailForLongAreAFaultOfTheirStream(t *testing.T) {
	refused := func(status int, code jetstream.ErrorCode) error {
		return &jetstream.APIError{Code: status, ErrorCode: code}
	}
	long := time.Now().Add(-faultAfter - time.Second)
	for name, test := range map[string]struct {
		stream string
		begun  time.Time
		count  int
		err    error
		want   bool
	}{
		"no answer for long":                    {stateBucket.stream(), long, faultCount, context.DeadlineExceeded, true},
		"no answer for a moment":                {stateBucket.stream(), time.Now().Add(-Lease), faultCount, context.DeadlineExceeded, false},
		"one that waited while we were stopped": {stateBucket.stream(), long, 1, context.DeadlineExceeded, false},
		"a caller in a hurry":                   {cacheBucket.stream(), time.Now(), faultCount, context.DeadlineExceeded, false},
		"a caller that is gone":                 {cacheBucket.stream(), long, faultCount, context.Canceled, false},
		"a limit":                               {cacheBucket.stream(), long, faultCount, refused(503, codeInsufficient), true},
		"a limit of a bucket":                   {cacheBucket.stream(), long, faultCount, refused(503, codeSubjectFull), true},
		"a fire that is queued":                 {subjects.FireStream, long, faultCount, refused(503, codeSubjectFull), false},
		"somebody else was faster":              {scheduleBucket.stream(), long, faultCount, refused(400, jetstream.JSErrCodeStreamWrongLastSequence), false},
		"something has moved":                   {scheduleBucket.stream(), long, faultCount, errMoved, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWrites()
			for range test.count {
				w.note(test.stream, test.begun, test.err)
			}
			fault, err := w.fault(time.Now())
			if (err != nil) != test.want || test.want && (fault.Stream != test.stream || !errors.Is(err, test.err)) {
				t.Errorf("%+v, %v", fault, err)
			}
			w.note(test.stream, time.Now(), nil)
			if fault, err := w.fault(time.Now()); err != nil {
				t.Errorf("after a write that was carried out: %+v, %v", fault, err)
			}
		})
	}
}

func TestReadsWithoutAnAnswerForLongAreAFaultOfTheirStream(t *testing.T) {
	long := time.Now().Add(-faultAfter - time.Second)
	for name, test := range map[string]struct {
		begun time.Time
		err   error
		want  bool
	}{
		"no answer for long":     {long, context.DeadlineExceeded, true},
		"no answer for a moment": {time.Now().Add(-Lease), context.DeadlineExceeded, false},
		"nothing is there":       {long, jetstream.ErrMsgNotFound, false},
		"a refusal":              {long, &jetstream.APIError{Code: 503}, false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, stream := range []string{stateBucket.stream(), scheduleBucket.stream(), cacheBucket.stream()} {
				for over, answered := range map[string]func(*writes){
					"a read":  func(w *writes) { w.noteRead(stream, time.Now(), jetstream.ErrMsgNotFound) },
					"a write": func(w *writes) { w.note(stream, time.Now(), nil) },
				} {
					w := newWrites()
					for range faultCount {
						w.noteRead(stream, test.begun, test.err)
					}
					fault, err := w.fault(time.Now())
					if (err != nil) != test.want || test.want && fault.Stream != stream {
						t.Errorf("%s: %+v, %v", stream, fault, err)
					}
					answered(w)
					if fault, err := w.fault(time.Now()); err != nil {
						t.Errorf("after %s that was answered: %+v, %v", over, fault, err)
					}
				}
			}
		})
	}
}

// A read that is answered does not tell that writes are taken.
func TestAReadThatIsAnsweredEndsNoFaultOfWrites(t *testing.T) {
	w, long := newWrites(), time.Now().Add(-faultAfter-time.Second)
	for range faultCount {
		w.note(scheduleBucket.stream(), long, context.DeadlineExceeded)
		w.noteRead(scheduleBucket.stream(), time.Now(), nil)
	}
	if _, err := w.fault(time.Now()); err == nil {
		t.Error("there is no fault")
	}
}
