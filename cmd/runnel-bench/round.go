//go:build linux

package main

import (
	"math/rand/v2"
	"slices"
)

// repeat runs a warm-up round and so many other rounds. In each it calls each function once, in a
// random order, so that none of them always has the same one before it. The functions add samples
// to the series; those of the warm-up are removed.
func (b *bench) repeat(rounds int, functions []func() error, all ...*series) error {
	for round := range rounds + 1 {
		for _, i := range rand.Perm(len(functions)) {
			if err := b.ctx.Err(); err != nil {
				return err
			}
			if err := functions[i](); err != nil {
				return err
			}
		}
		if round == 0 {
			for _, s := range all {
				s.clear()
			}
		}
	}
	return nil
}

// series are the samples of each program and of what it is compared with.
type series struct {
	programs []samples
	limit    samples
}

func newSeries(programs int) series { return series{programs: make([]samples, programs)} }

// clear removes all samples. Pointers to the samples stay valid.
func (s *series) clear() {
	clear(s.programs)
	s.limit = nil
}

// ratios returns the median of the ratios of the rounds for each program.
func (s *series) ratios() (all []float64) {
	for _, p := range s.programs {
		all = append(all, p.ratios(s.limit).median())
	}
	return all
}

// quantiles returns a quantile for each program.
func (s *series) quantiles(q float64) (all []float64) {
	for _, p := range s.programs {
		all = append(all, p.quantile(q))
	}
	return all
}

// medians returns the median for each program.
func (s *series) medians() (all []float64) {
	for _, p := range s.programs {
		all = append(all, p.median())
	}
	return all
}

// divided divides each value by d.
func divided(values []float64, d float64) []float64 {
	values = slices.Clone(values)
	for i := range values {
		values[i] /= d
	}
	return values
}
