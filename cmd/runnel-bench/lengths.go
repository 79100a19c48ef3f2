//go:build linux

package main

// plottedLengths are the lengths of lines of the plot of throughput.
var plottedLengths = []int{8, 16, 32, 64, 100, 256, 1024, 4096}

// throughputByLength measures the throughput of several lengths of lines.
func throughputByLength(b *bench) (r report, err error) {
	t, err := b.newThroughputRun()
	if err != nil {
		return r, err
	}
	defer t.undo.run(&err)
	server, limit := curve{name: "runnel serve"}, curve{name: "pipe → escape → TCP"}
	for _, length := range plottedLengths {
		rates, cpu, err := t.measure(length, b.megabytes(128, 16), b.rounds(5, 1))
		if err != nil {
			return r, err
		}
		for _, f := range lengthFigures(length, rates, cpu) {
			f.plotted = true
			r.figures = append(r.figures, f)
		}
		server.points = append(server.points, point{x: float64(length), y: rates.programs[0].median()})
		limit.points = append(limit.points, point{x: float64(length), y: rates.limit.median()})
	}
	r.plots = []plot{{
		title:  "Throughput by length of lines",
		x:      "length of a line, bytes (logarithmic)",
		y:      "output, MB/s",
		logX:   true,
		file:   "throughput.svg",
		curves: []curve{server, limit},
	}}
	return r, nil
}
