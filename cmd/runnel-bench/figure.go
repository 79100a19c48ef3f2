//go:build linux

package main

import (
	"fmt"
	"strings"
)

// figure is a line of the table.
type figure struct {
	what   string
	versus string    // what it is compared with; "" for nothing
	values []float64 // of each program, in unit
	unit   string    // "" for a ratio
	detail string    // the values that the ratio was made of
	goal   goal
	// timing is set if the figure depends on the speed of the machine or its load. Only these are
	// checked by -check, since others have tests.
	timing bool
	// checked is what -check requires of a timing; without a value, checkFactor times the goal.
	checked goal
	// plotted is set if the figure is in a plot, and not in the table of the page.
	plotted bool
}

// goal is the target of a figure.
type goal struct {
	value   float64 // 0 if there is none
	atLeast bool    // otherwise at most
}

func atLeast(v float64) goal { return goal{value: v, atLeast: true} }
func atMost(v float64) goal  { return goal{value: v} }

// met reports whether a value reaches the target.
func (g goal) met(v float64) bool {
	return g.value == 0 || v == g.value || v > g.value == g.atLeast
}

// loosened is the target that is worse by a factor.
func (g goal) loosened(factor float64) goal {
	if g.atLeast {
		factor = 1 / factor
	}
	g.value *= factor
	return g
}

func (g goal) format(unit string) string {
	switch {
	case g.value == 0:
		return ""
	case g.atLeast:
		return "at least " + format(g.value, unit)
	default:
		return "at most " + format(g.value, unit)
	}
}

// format formats a value with three significant digits.
func format(v float64, unit string) string {
	text := ""
	switch {
	case v >= 99.95 || v == float64(int(v)):
		text = fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		text = fmt.Sprintf("%.1f", v)
	case v >= 0.1 || v <= 0:
		text = fmt.Sprintf("%.2f", v)
	default:
		text = fmt.Sprintf("%.2g", v)
	}
	if unit != "" {
		text += " " + unit
	}
	return text
}

// join formats the values of all programs.
func join(values []float64, verb string) string {
	var texts []string
	for _, v := range values {
		texts = append(texts, fmt.Sprintf(verb, v))
	}
	return strings.Join(texts, ", ")
}
