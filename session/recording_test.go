//go:build linux

package session

import (
	"errors"
	"reflect"
	"testing"
)

// TestRecordingOfEvictedLogs: a recording that had to leave memory is read from the disk, if there is a spool.
func TestRecordingOfEvictedLogs(t *testing.T) {
	sp := openSpool(t, t.TempDir())
	spec := sh("1", "echo one; echo two")
	onTerminal(&spec)
	kept := start(t, unspooled(t, Options{Spool: sp}), spec)
	ended(t, kept)
	lost := start(t, unspooled(t, Options{}), spec)
	ended(t, lost)
	want, err := kept.Recording()
	if err != nil || len(want.Output) == 0 {
		t.Fatal(want, err)
	}
	for _, s := range []*Session{kept, lost} {
		s.log.Evict()
		if s.log.Recording() != nil {
			t.Error("the recording is in memory")
		}
	}
	got, err := kept.Recording()
	if err != nil || !got.Begin.Equal(want.Begin) || !reflect.DeepEqual(got.Output, want.Output) || got.Interval != want.Interval {
		t.Errorf("%+v, %v, not %+v", got, err, want)
	}
	if _, err := lost.Recording(); !errors.Is(err, ErrNoRecording) {
		t.Errorf("without a spool: %v", err)
	}
}

// TestOnlyTerminalsAreRecorded: other sessions have no recording.
func TestOnlyTerminalsAreRecorded(t *testing.T) {
	s := run(t, "echo one", func(*Spec) {})
	ended(t, s)
	if _, err := s.Recording(); !errors.Is(err, ErrNoRecording) || s.log.Recording() != nil {
		t.Error(err)
	}
}
