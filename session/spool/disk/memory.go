package disk

import "unsafe"

// MemoryBytes is the length of what NewMemory returns: that of a huge page on most architectures.
const MemoryBytes = 2 << 20

// NewMemory returns MemoryBytes of memory for direct I/O, if possible in one huge page: each page is a
// segment of the request to the disk, and 128 of them may take several times as long as one. free ends
// the use of the memory.
func NewMemory() (b []byte, free func()) {
	if b, free, err := newMemory(); err == nil {
		return b, free
	}
	return Aligned(MemoryBytes), func() {}
}

// Aligned returns n bytes of memory that direct I/O can use, if n is a multiple of Align.
func Aligned(n int) []byte {
	b := make([]byte, n+Align)
	skip := (Align - int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))%Align)) % Align
	return b[skip : skip+n : skip+n]
}
