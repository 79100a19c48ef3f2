package process

import "os"

// MaxArgument is the longest argument, and the longest NAME=VALUE of an environment, in bytes that
// execve(2) accepts: MAX_ARG_STRLEN, 32 pages, minus the terminating NUL.
var MaxArgument = 32*os.Getpagesize() - 1
