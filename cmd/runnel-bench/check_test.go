//go:build linux

package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestMissedTimings(t *testing.T) {
	figures := []figure{
		{what: "good", values: []float64{3}, goal: atMost(1), timing: true},
		{what: "slow", values: []float64{3.1}, unit: "ms", goal: atMost(1), timing: true},
		{what: "other program", values: []float64{1, 99}, goal: atMost(1), timing: true},
		{what: "no timing", values: []float64{99}, goal: atMost(1)},
		{what: "no goal", values: []float64{99}, timing: true},
		{what: "low", values: []float64{0.2}, goal: atLeast(0.97), timing: true},
		{what: "as required", values: []float64{1.15}, goal: atMost(1.05), checked: atMost(1.15), timing: true},
		{what: "more than required", values: []float64{1.16}, goal: atMost(1.05), checked: atMost(1.15), timing: true},
		{what: "less than required", values: []float64{0.84}, goal: atLeast(0.95), checked: atLeast(0.85), timing: true},
	}
	err := missedTimings(figures)
	if err == nil {
		t.Fatal("no error")
	}
	var names []string
	for line := range strings.Lines(err.Error()) {
		name, _, _ := strings.Cut(line, ":")
		names = append(names, name)
	}
	if !slices.Equal(names, []string{"slow", "low", "more than required", "less than required"}) {
		t.Error(err)
	}
	if err := missedTimings(figures[:1]); err != nil {
		t.Error(err)
	}
}

// TestCheckTimings checks when a measurement is repeated, and when a miss is an error.
func TestCheckTimings(t *testing.T) {
	made := func(value, others float64) report {
		return report{figures: []figure{{what: "time", values: []float64{value}, goal: atMost(1), timing: true}}, others: others}
	}
	good, slow, busy := made(2, 0), made(4, 0.1), made(4, 0.3)
	for name, c := range map[string]struct {
		reports []report
		fails   bool
	}{
		"good":           {[]report{good}, false},
		"slow, good":     {[]report{slow, good}, false},
		"slow, slow":     {[]report{slow, slow}, true},
		"slow, busy":     {[]report{slow, busy}, false},
		"busy":           {[]report{busy}, false},
		"good but busy":  {[]report{made(2, 0.3)}, false},
		"slow, no other": {[]report{slow}, true},
	} {
		made := 1
		err := checkTimings(c.reports[0], func() (report, error) {
			if made++; made > len(c.reports) {
				return report{}, errors.New("no other measurement")
			}
			return c.reports[made-1], nil
		})
		if (err != nil) != c.fails || made < len(c.reports) {
			t.Errorf("%s: %v after %d measurements", name, err, made)
		}
	}
}
