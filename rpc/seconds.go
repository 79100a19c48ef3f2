package rpc

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/runnel-rpc/runnel/rpc/wire"
)

// MaxSeconds is the longest duration in JSON, about 31 years. A time.Duration can hold it.
const MaxSeconds = 1e9

// Seconds is a duration in JSON: a number of seconds from 0 to 1e9, which may have a fraction and
// is rounded to nanoseconds. Null is decoded as 0. To leave out the zero Seconds in JSON, tag the
// field omitzero.
type Seconds struct {
	Set  bool // the field is present, possibly null or 0
	Null bool // the field is null
	D    time.Duration
}

// UnmarshalJSON accepts a number or null. A positive number of less than a nanosecond becomes one
// nanosecond, because 0 has its own meaning.
func (s *Seconds) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*s = Seconds{Set: true, Null: true}
		return nil
	}
	if !wire.IsNumber(b) {
		return errors.New("must be a number of seconds")
	}
	n, _ := strconv.ParseFloat(string(b), 64) // an infinity if it is out of range
	switch {
	case n < 0:
		return errors.New("must not be negative")
	case n > MaxSeconds:
		return errors.New("must be at most 1e9 seconds")
	}
	d := time.Duration(math.Round(n * float64(time.Second)))
	if n > 0 {
		d = max(d, 1)
	}
	*s = Seconds{Set: true, D: d}
	return nil
}

// MarshalJSON writes the exact number of seconds, or null. It fails if the number is negative or more
// than 1e9.
func (s Seconds) MarshalJSON() ([]byte, error) {
	if s.Null {
		return []byte("null"), nil
	}
	if s.D < 0 || s.D > MaxSeconds*time.Second {
		return nil, fmt.Errorf("duration %s must be from 0 to 1e9 seconds", s.D)
	}
	b := strconv.AppendInt(nil, int64(s.D/time.Second), 10)
	if fraction := s.D % time.Second; fraction > 0 {
		b = bytes.TrimRight(fmt.Appendf(b, ".%09d", fraction), "0")
	}
	return b, nil
}
