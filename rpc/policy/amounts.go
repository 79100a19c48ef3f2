package policy

import (
	"fmt"
	"math"
	"time"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
)

// amounts are limits and times; what is not set is missing.
type amounts struct {
	limits process.Limits
	times  map[string]time.Duration // by their names in execute
}

// The names of the times.
const (
	timeout       = "timeout"
	streamTimeout = "stream_timeout"
	grace         = "grace"
	linger        = "linger"
)

// amounts compiles the table at key.
func (c *compiler) amounts(key string, text *amountsText) amounts {
	a := amounts{limits: process.Limits{}, times: map[string]time.Duration{}}
	for name, n := range map[process.Limit]*int64{
		process.CPUSeconds: text.CPUSeconds, process.MemoryBytes: text.MemoryBytes, process.Processes: text.Processes,
		process.OpenFiles: text.OpenFiles, process.FileBytes: text.FileBytes,
	} {
		if n == nil {
			continue
		}
		if *n < 1 && (name != process.FileBytes || *n < 0) {
			c.bad(key+"."+string(name), fmt.Errorf("%d is too small", *n))
		}
		a.limits[name] = *n
	}
	for name, n := range map[string]*float64{
		timeout: text.Timeout, streamTimeout: text.StreamTimeout, grace: text.Grace, linger: text.Linger,
	} {
		if n == nil {
			continue
		}
		if !(*n >= 0 && *n <= rpc.MaxSeconds) || *n == 0 && name != grace {
			c.bad(key+"."+name, fmt.Errorf("%v seconds must be more than 0 and at most 1e9", *n))
			continue
		}
		a.times[name] = time.Duration(math.Round(*n * float64(time.Second)))
	}
	return a
}

// compareAmounts adds an error for each default that exceeds its maximum.
func (c *compiler) compareAmounts(s *section) {
	for name, n := range s.defaults.limits {
		if most, ok := s.max.limits[name]; ok && n > most {
			c.bad(s.rule("defaults."+string(name)), fmt.Errorf("%d exceeds the maximum, %d", n, most))
		}
	}
	for name, d := range s.defaults.times {
		if most, ok := s.max.times[name]; ok && d > most {
			c.bad(s.rule("defaults."+name), fmt.Errorf("%v exceeds the maximum, %v", d, most))
		}
	}
}
