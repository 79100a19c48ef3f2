package process

import "math"

// MaxArgument is the longest argument, and the longest NAME=VALUE of an environment, in bytes that execve(2) takes.
// Darwin bounds only all of them together.
const MaxArgument = math.MaxInt
