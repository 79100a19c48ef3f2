//go:build race

package main

// bigLines makes 5 MB: under the race detector JSON takes twenty times as long.
const bigLines = 250_000

// raceDetector says that memory is not what users have.
const raceDetector = true
