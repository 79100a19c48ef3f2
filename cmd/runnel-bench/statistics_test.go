//go:build linux

package main

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	s := samples{5, 1, 4, 2, 3}
	for q, want := range map[float64]float64{0: 1, 0.2: 1, 0.21: 2, 0.5: 3, 0.99: 5, 1: 5} {
		if got := s.quantile(q); got != want {
			t.Errorf("quantile(%v) = %v, want %v", q, got, want)
		}
	}
	if !slices.Equal(s, samples{5, 1, 4, 2, 3}) {
		t.Error("the samples were sorted in place: ratios need their order")
	}
	hundred := make(samples, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	if got := hundred.quantile(0.99); got != 99 {
		t.Errorf("p99 of 1 to 100 = %v", got)
	}
	if !math.IsNaN(samples(nil).quantile(0.5)) || !math.IsNaN(samples(nil).median()) {
		t.Error("no samples have a quantile")
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		s    samples
		want float64
	}{{samples{7}, 7}, {samples{9, 1}, 5}, {samples{3, 1, 2}, 2}, {samples{4, 1, 3, 2}, 2.5}} {
		if got := c.s.median(); got != c.want {
			t.Errorf("median of %v = %v, want %v", c.s, got, c.want)
		}
	}
}

func TestRatios(t *testing.T) {
	s := series{programs: []samples{{10, 30, 20}, {1, 1, 1}}, limit: samples{10, 10, 10}}
	if got := s.ratios(); !slices.Equal(got, []float64{2, 0.1}) {
		t.Error(got)
	}
	if got := s.quantiles(1); !slices.Equal(got, []float64{30, 1}) {
		t.Error(got)
	}
	if got := divided([]float64{3, 9}, 3); !slices.Equal(got, []float64{1, 3}) {
		t.Error(got)
	}
	var d samples
	d.add(1500*time.Microsecond, time.Millisecond)
	if !slices.Equal(d, samples{1.5}) {
		t.Error(d)
	}
}

func TestRepeat(t *testing.T) {
	b := &bench{ctx: t.Context()}
	s := newSeries(1)
	calls := 0.0
	program, limit := &s.programs[0], &s.limit
	turns := []func() error{
		func() error { calls++; *program = append(*program, calls); return nil },
		func() error { calls++; *limit = append(*limit, calls); return nil },
	}
	if err := b.repeat(20, turns, &s); err != nil {
		t.Fatal(err)
	}
	if len(s.programs[0]) != 20 || len(s.limit) != 20 {
		t.Fatalf("%d and %d samples", len(s.programs[0]), len(s.limit))
	}
	if slices.Min(s.programs[0]) <= 2 || slices.Min(s.limit) <= 2 {
		t.Error("the samples have those of the warm-up")
	}
	first := 0
	for i := range s.limit {
		if s.limit[i] < s.programs[0][i] {
			first++
		}
	}
	if first == 0 || first == 20 { // once in 500,000 runs
		t.Error("the order is always the same")
	}
}
