//go:build !race

package main

// bigLines makes 50 MB.
const bigLines = 2_500_000

const raceDetector = false
