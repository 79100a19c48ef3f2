//go:build linux

package main

import (
	"math"
	"slices"
	"time"
)

// samples are values of one quantity in the order in which they were measured.
type samples []float64

// quantile returns the smallest sample that is not less than the part q, from 0 to 1, of all
// samples (nearest rank). It is NaN if there are no samples.
func (s samples) quantile(q float64) float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	rank := int(math.Ceil(q * float64(len(s))))
	return sorted[min(max(rank, 1), len(s))-1]
}

// median returns the middle sample, or the mean of the two in the middle.
func (s samples) median() float64 {
	if len(s)%2 == 1 || len(s) == 0 {
		return s.quantile(0.5)
	}
	sorted := slices.Sorted(slices.Values(s))
	return (sorted[len(s)/2-1] + sorted[len(s)/2]) / 2
}

// add adds a duration in units.
func (s *samples) add(d, unit time.Duration) { *s = append(*s, float64(d)/float64(unit)) }

// ratios divides each sample by that of the same round.
func (s samples) ratios(of samples) (r samples) {
	for i := range min(len(s), len(of)) {
		r = append(r, s[i]/of[i])
	}
	return r
}
