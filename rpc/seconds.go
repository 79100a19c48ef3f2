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

// MaxSeconds is the longest duration on the wire, about 31 years. A time.Duration can hold it.
const MaxSeconds = 1e9

// Seconds is a duration on the wire: a number of seconds from 0 to 1e9, fractions allowed, kept to the
// nanosecond. Null is read as 0. To leave out the zero Seconds when writing, tag the field omitzero.
type Seconds struct {
	Set  bool // the field was there, be it as null or 0
	Null bool // it was null
	D    time.Duration
}

// UnmarshalJSON takes a number or null. Too small a fraction becomes one nanosecond, and not 0, which has a
// meaning of its own.
func (s *Seconds) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*s = Seconds{Set: true, Null: true}
		return nil
	}
	if !wire.IsNumber(b) {
		return errors.New("must be a number of seconds")
	}
	n, _ := strconv.ParseFloat(string(b), 64) // out of range, it is an infinity
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

// MarshalJSON writes the exact number of seconds. It fails where that is negative or over 1e9.
func (s Seconds) MarshalJSON() ([]byte, error) {
	if s.D < 0 || s.D > MaxSeconds*time.Second {
		return nil, fmt.Errorf("duration %s is not from 0 to 1e9 seconds", s.D)
	}
	b := strconv.AppendInt(nil, int64(s.D/time.Second), 10)
	if fraction := s.D % time.Second; fraction > 0 {
		b = bytes.TrimRight(fmt.Appendf(b, ".%09d", fraction), "0")
	}
	return b, nil
}
