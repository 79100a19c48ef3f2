package procfs

import (
	"os"
	"strings"
)

// BootID returns the random number that the kernel has chosen at boot (random(4)), or "" if it is
// unavailable. It needs a free file descriptor.
func BootID() string {
	text, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text))
}
