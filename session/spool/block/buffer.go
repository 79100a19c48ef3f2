package block

import (
	"sync"

	"github.com/runnel-rpc/runnel/session/spool/disk"
)

// buffers are unused buffers of MaxBytes.
var buffers = sync.Pool{New: func() any { return (*[MaxBytes]byte)(disk.Aligned(MaxBytes)) }}

// NewBuffer returns MaxBytes of memory for a block, which direct I/O can use. Its content is undefined.
func NewBuffer() *[MaxBytes]byte { return buffers.Get().(*[MaxBytes]byte) }

// FreeBuffer ends the use of a buffer, which may be nil.
func FreeBuffer(b *[MaxBytes]byte) {
	if b != nil {
		buffers.Put(b)
	}
}
