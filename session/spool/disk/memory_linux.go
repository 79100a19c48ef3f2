package disk

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// newMemory maps twice as much as it returns, so that a huge page begins in it. What is not used takes
// no physical memory.
func newMemory() (b []byte, free func(), err error) {
	mapped, err := unix.Mmap(-1, 0, 2*MemoryBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, nil, err
	}
	skip := MemoryBytes - int(uintptr(unsafe.Pointer(unsafe.SliceData(mapped)))%MemoryBytes)
	b = mapped[skip%MemoryBytes:][:MemoryBytes:MemoryBytes]
	_ = unix.Madvise(b, unix.MADV_HUGEPAGE) // a hint
	return b, func() { _ = unix.Munmap(mapped) }, nil
}
