//go:build !race

package escape

const raceDetector = false
