package rpc

import (
	"errors"
	"strconv"

	"github.com/runnel-rpc/runnel/rpc/wire"
)

// SoftLimits are soft limits of setrlimit(2) that a command begins with. One that is left out is the server's own.
type SoftLimits struct {
	AddressSpaceBytes SoftLimit `json:"address_space_bytes,omitzero"`
	CoreBytes         SoftLimit `json:"core_bytes,omitzero"`
	CPUSeconds        SoftLimit `json:"cpu_seconds,omitzero"`
	DataBytes         SoftLimit `json:"data_bytes,omitzero"`
	FileBytes         SoftLimit `json:"file_bytes,omitzero"`
	LockedBytes       SoftLimit `json:"locked_bytes,omitzero"`
	MessageQueueBytes SoftLimit `json:"message_queue_bytes,omitzero"`
	NiceCeiling       SoftLimit `json:"nice_ceiling,omitzero"`
	OpenFiles         SoftLimit `json:"open_files,omitzero"`
	PendingSignals    SoftLimit `json:"pending_signals,omitzero"`
	RealtimePriority  SoftLimit `json:"realtime_priority,omitzero"`
	ResidentBytes     SoftLimit `json:"resident_bytes,omitzero"`
	StackBytes        SoftLimit `json:"stack_bytes,omitzero"`
	UserProcesses     SoftLimit `json:"user_processes,omitzero"`
}

// SoftLimit is a soft limit on the wire: a whole number from 0 up, or null for none (RLIM_INFINITY). To leave out the
// zero SoftLimit when writing, tag the field omitzero.
type SoftLimit struct {
	Set   bool // the field was there, be it as null
	None  bool // it was null
	Value int64
}

// UnmarshalJSON takes a whole number or null.
func (l *SoftLimit) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*l = SoftLimit{Set: true, None: true}
		return nil
	}
	if wire.KindOf(b) != wire.Number {
		return errors.New("must be a whole number or null")
	}
	var n int64
	if err := wire.Decode(b, &n); err != nil {
		return err
	}
	if n < 0 {
		return errors.New("must be at least 0")
	}
	*l = SoftLimit{Set: true, Value: n}
	return nil
}

// MarshalJSON writes the number, or null for none.
func (l SoftLimit) MarshalJSON() ([]byte, error) {
	switch {
	case l.None:
		return []byte("null"), nil
	case l.Value < 0:
		return nil, errors.New("a soft limit is not negative")
	}
	return strconv.AppendInt(nil, l.Value, 10), nil
}
