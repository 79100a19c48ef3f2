package block

import (
	"sync"
	"unsafe"

	"github.com/runnel-rpc/runnel/session/spool/disk"
)

// Aligned returns n bytes of memory that direct I/O can use, if n is a multiple of disk.Align.
func Aligned(n int) []byte {
	b := make([]byte, n+disk.Align)
	skip := (disk.Align - int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))%disk.Align)) % disk.Align
	return b[skip : skip+n : skip+n]
}

// buffers are unused buffers of MaxBytes.
var buffers = sync.Pool{New: func() any { return (*[MaxBytes]byte)(Aligned(MaxBytes)) }}

// NewBuffer returns MaxBytes of memory for a block, which direct I/O can use. Its content is undefined.
func NewBuffer() *[MaxBytes]byte { return buffers.Get().(*[MaxBytes]byte) }

// FreeBuffer ends the use of a buffer, which may be nil.
func FreeBuffer(b *[MaxBytes]byte) {
	if b != nil {
		buffers.Put(b)
	}
}
