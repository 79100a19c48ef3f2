package session

import (
	"errors"
	"io"
	"time"

	"github.com/runnel-rpc/runnel/stream"
)

// ErrNoRecording means that the times of a terminal's output are not known: the server has crashed, or its
// memory was needed for other sessions and the session is not on the disk.
var ErrNoRecording = errors.New("the times of the output are not known")

// Recording returns when the output of the session's terminal was written, and the recorded input. It may
// read from the disk. Errors: ErrNoRecording, also without a terminal and before the start, and
// ErrUnavailable.
func (s *Session) Recording() (*stream.Recording, error) {
	if r := s.log.Recording(); r != nil {
		return r, nil
	}
	if s.restored != nil || s.spec.Program.Terminal == nil {
		return nil, ErrNoRecording
	}
	kept, ok := s.reg.o.Spool.Find(s.spec.Owner, s.spec.ID)
	if !ok || kept.Key() != s.created {
		return nil, ErrNoRecording
	}
	again, err := s.reg.restoreOne(kept)
	switch {
	case errors.Is(err, ErrNotFound): // it was removed meanwhile
		return nil, ErrNoRecording
	case err != nil:
		return nil, err
	}
	if r := again.log.Recording(); r != nil {
		return r, nil
	}
	return nil, ErrNoRecording
}

// recordedAtOnce is how many bytes of input are written between two checks of the echo.
const recordedAtOnce = 1 << 10

// inputRecorder records what is written to a terminal while that echoes. A nil recorder only writes.
type inputRecorder struct {
	log  *stream.Log
	echo func() (bool, error) // of the terminal
}

// write writes text to the terminal. What is written is recorded if the terminal echoes before and after,
// with the time before: its echo may be read before write returns.
func (r *inputRecorder) write(w io.Writer, text []byte) error {
	if r == nil {
		_, err := w.Write(text)
		return err
	}
	for len(text) > 0 {
		part := text[:min(len(text), recordedAtOnce)]
		at, seq := r.log.Now()
		echoed := r.echoes()
		if _, err := w.Write(part); err != nil {
			return err
		}
		if echoed && r.echoes() {
			r.log.RecordInput(at, seq, part)
		}
		text = text[len(part):]
	}
	return nil
}

// echoes reports whether the terminal is known to echo.
func (r *inputRecorder) echoes() bool {
	on, err := r.echo()
	return on && err == nil
}

// storedRecording is a stream.Recording.
type storedRecording struct {
	Begin    int64  `json:"begin"` // in nanoseconds since 1970
	Output   []byte `json:"output,omitempty"`
	Interval int64  `json:"interval"` // in nanoseconds
	Input    []byte `json:"input,omitempty"`
	InputCut bool   `json:"input_cut,omitempty"`
}

func storeRecording(r *stream.Recording) *storedRecording {
	if r == nil {
		return nil
	}
	return &storedRecording{r.Begin.UnixNano(), r.Output, int64(r.Interval), r.Input, r.InputCut}
}

func (x *storedRecording) recording() *stream.Recording {
	if x == nil {
		return nil
	}
	return &stream.Recording{
		Begin: time.Unix(0, x.Begin), Output: x.Output, Interval: time.Duration(x.Interval), Input: x.Input, InputCut: x.InputCut,
	}
}
