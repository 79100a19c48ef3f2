//go:build !race

package main

// bigLines is 10 MB of lines, ten times what a server queues, or 50 MB.
var bigLines = rounds(500_000, 2_500_000)

const raceDetector = false
