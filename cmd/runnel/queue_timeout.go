package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
)

// queueTimeout is how long run waits for a slot. Its text is a duration, of which 0 is not at all, or
// "infinity", as for sleep(1).
type queueTimeout struct{ rpc.Seconds }

// UnmarshalText implements encoding.TextUnmarshaler, which kong calls.
func (q *queueTimeout) UnmarshalText(text []byte) error {
	if string(text) == "infinity" {
		q.Seconds = rpc.Seconds{Set: true, Null: true}
		return nil
	}
	d, err := time.ParseDuration(string(text))
	switch {
	case err != nil:
		return fmt.Errorf("%q is neither a duration, like 90s or 5m, nor infinity", text)
	case d < 0:
		return errors.New("must not be negative")
	}
	q.Seconds = rpc.Seconds{Set: d > 0, D: d} // left out for 0, which older servers do not know
	return nil
}
