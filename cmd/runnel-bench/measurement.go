//go:build linux

package main

// measurement measures one or more figures.
type measurement struct {
	name string // for -only
	run  func(*bench) (report, error)
}

// report is the result of a measurement.
type report struct {
	figures []figure
}

// measurements are in the order of the table.
var measurements = []measurement{
	{"throughput", throughput},
	{"allocations", allocations},
	{"true", startTrue},
}

// names returns the names of all measurements.
func names() (all []string) {
	for _, m := range measurements {
		all = append(all, m.name)
	}
	return all
}
