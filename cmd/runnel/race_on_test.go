//go:build race

package main

// bigLines is 5 MB of lines: with the race detector, JSON takes twenty times as long.
const bigLines = 250_000

// raceDetector reports that the race detector is enabled, which increases memory and time.
const raceDetector = true
