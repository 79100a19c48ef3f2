package process

import "math"

// MaxArgument is the longest argument, and the longest NAME=VALUE of an environment, in bytes that
// execve(2) accepts. Darwin bounds only their total.
const MaxArgument = math.MaxInt
