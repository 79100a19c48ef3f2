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
	plots   []plot
	others  float64 // the part of the machine's processor time that other processes used
}

// measurements are in the order of the table.
var measurements = []measurement{
	{"throughput", throughput},
	{"slow", slowClient},
	{"allocations", allocations},
	{"stdin", stdin},
	{"true", startTrue},
	{"secured", secured},
	{"sandbox", sandboxed},
	{"shared", shared},
	{"spooled", spooled},
	{"codex", codex},
	{"parallel", parallel},
	{"idle", idleMemory},
	{"first", firstOutput},
	{"streaming", streamingMemory},
	{"flood", controlInFlood},
	{"many", manySessions},
	{"lengths", throughputByLength},
}

// names returns the names of all measurements.
func names() (all []string) {
	for _, m := range measurements {
		all = append(all, m.name)
	}
	return all
}
