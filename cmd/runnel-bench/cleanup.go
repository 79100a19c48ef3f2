//go:build linux

package main

import "errors"

// cleanup are functions to call at the end, the last one first.
type cleanup []func() error

func (c *cleanup) add(f func() error) { *c = append(*c, f) }

// run calls all functions, and adds their errors to *err.
func (c *cleanup) run(err *error) {
	for i := len(*c) - 1; i >= 0; i-- {
		*err = errors.Join(*err, (*c)[i]())
	}
	*c = nil
}
