//go:build race

package escape

// raceDetector reports that the race detector is enabled.
const raceDetector = true
