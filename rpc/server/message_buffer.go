package server

import "sync"

const (
	// bufferStep is the difference between the capacities of two successive classes of message
	// buffers that are recycled.
	bufferStep = 16 << 10
	// bufferClasses is their number. Larger buffers are left to the garbage collector.
	bufferClasses = 16
	// trustedBytes is how much memory a frame gets before its payload has arrived. After that, the
	// memory of a message is at most twice what was received.
	trustedBytes = 128 << 10
)

var messageBuffers [bufferClasses]sync.Pool

// messageBuffer is the memory of a message that is longer than an input buffer or fragmented. A nil
// one is empty.
type messageBuffer struct {
	text []byte
}

// grown returns a buffer with the same text and room for more of a payload of which missing bytes
// have not arrived, missing being at least 1. It may be b.
func (b *messageBuffer) grown(missing int) *messageBuffer {
	if b == nil {
		return newMessageBuffer(min(missing, trustedBytes))
	}
	n := len(b.text)
	if n < cap(b.text) {
		return b
	}
	announced := min(n+missing, max(2*n, trustedBytes))
	larger := newMessageBuffer(max(announced, n+n/4)) // a quarter more: fragments may be single bytes
	larger.text = append(larger.text, b.text...)
	b.recycle()
	return larger
}

// newMessageBuffer returns an empty buffer for at least n bytes.
func newMessageBuffer(n int) *messageBuffer {
	class := (n+bufferStep-1)/bufferStep - 1
	if class >= bufferClasses {
		return &messageBuffer{make([]byte, 0, n)}
	}
	if b, ok := messageBuffers[class].Get().(*messageBuffer); ok {
		return b
	}
	return &messageBuffer{make([]byte, 0, (class+1)*bufferStep)}
}

// recycle gives the memory to a later message. It must not be used afterwards.
func (b *messageBuffer) recycle() {
	if b == nil {
		return
	}
	if class := cap(b.text)/bufferStep - 1; class < bufferClasses && cap(b.text)%bufferStep == 0 {
		b.text = b.text[:0]
		messageBuffers[class].Put(b)
	}
}
