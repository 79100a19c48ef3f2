package process

import "time"

const maxrssUnit = 1 // ru_maxrss is in bytes (getrusage(2))

// ownTime is not known on Darwin.
func ownTime(int) time.Duration { return 0 }
