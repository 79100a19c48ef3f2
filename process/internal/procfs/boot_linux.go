package procfs

import (
	"strings"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
)

// BootID returns the random number that the kernel has chosen at boot (random(4)), or "" if it
// cannot be read.
func BootID() string {
	text, _ := fdreserve.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text))
}
