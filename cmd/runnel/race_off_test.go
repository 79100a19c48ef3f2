//go:build !race

package main

// bigLines is 50 MB of lines.
const bigLines = 2_500_000

const raceDetector = false
