//go:build linux

package main

import (
	"errors"
	"fmt"
)

const (
	// checkFactor is how much a timing may miss its target in a check, unless figure.checked says
	// otherwise.
	checkFactor = 3
	// checkAttempts is how often a measurement is made before a miss is an error. What the host of a virtual
	// machine does is not seen as the work of other processes.
	checkAttempts = 4
	// busyShare is the part of the machine's processor time from which on other processes, and not
	// the program, decide about a timing. With all processors busy, true takes ten times as long.
	busyShare = 0.2
)

// checkTimings checks the timings of a report, and measures again if one misses its target. If the
// machine is busy, it checks nothing.
func checkTimings(r report, again func() (report, error)) error {
	for attempt := 1; ; attempt++ {
		missed := missedTimings(r.figures)
		if missed == nil || r.others >= busyShare {
			return nil
		}
		if attempt == checkAttempts {
			return missed
		}
		var err error
		if r, err = again(); err != nil {
			return err
		}
	}
}

// missedTimings returns an error that names each timing of the first program that is worse than what
// is checked.
func missedTimings(figures []figure) error {
	var errs []error
	for _, f := range figures {
		required := f.checked
		if required.value == 0 {
			required = f.goal.loosened(checkFactor)
		}
		if f.timing && !required.met(f.values[0]) {
			errs = append(errs, fmt.Errorf("%s: %s, which has to be %s; the target is %s",
				f.what, format(f.values[0], f.unit), required.format(f.unit), f.goal.format(f.unit)))
		}
	}
	return errors.Join(errs...)
}
