package process

import "os"

// MaxArgument is the longest argument, and the longest NAME=VALUE of an environment, in bytes that execve(2) takes:
// MAX_ARG_STRLEN, 32 pages, less the terminating NUL.
var MaxArgument = 32*os.Getpagesize() - 1
