//go:build linux

package main

import "testing"

func TestGoal(t *testing.T) {
	for _, c := range []struct {
		goal   goal
		value  float64
		factor float64
		met    bool
	}{
		{atLeast(0.9), 0.9, 1, true}, {atLeast(0.9), 0.89, 1, false}, {atLeast(0.9), 0.31, 3, true}, {atLeast(0.9), 0.29, 3, false},
		{atMost(4), 4, 1, true}, {atMost(4), 4.1, 1, false}, {atMost(4), 11.9, 3, true}, {atMost(4), 12.1, 3, false},
		{goal{}, 1e9, 1, true}, {goal{}, 0, 1, true},
	} {
		if got := c.goal.loosened(c.factor).met(c.value); got != c.met {
			t.Errorf("%+v: %v, factor %v: %v", c.goal, c.value, c.factor, got)
		}
	}
}

func TestFormat(t *testing.T) {
	for text, v := range map[string]float64{
		"1234": 1234.4, "12.3": 12.34, "1.23": 1.234, "0.12": 0.1234, "0.0012": 0.00123, "3": 3, "-5.20": -5.2, "0": 0, "100": 99.96,
	} {
		if got := format(v, ""); got != text {
			t.Errorf("format(%v) = %q, want %q", v, got, text)
		}
	}
	if got := format(4, "ms"); got != "4 ms" {
		t.Error(got)
	}
}
