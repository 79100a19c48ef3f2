//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Opcodes of RFC 6455 §5.2.
const (
	opText  = 0x1
	opClose = 0x8
	opPing  = 0x9
	opPong  = 0xA
)

const (
	finBit       = 0x80
	maskBit      = 0x80
	maxHeader    = 10      // of a frame that is not masked
	maxPayload   = 1 << 20 // of a frame of the server
	len16, len64 = 126, 127
)

// frameReader reads the frames of a server, and copies no payload that is skipped. It checks only
// what it needs to find the next frame.
type frameReader struct {
	r          io.Reader
	buf        []byte
	start, end int // of what was read and not consumed
}

// newFrameReader returns a reader with a buffer of so many bytes, at least maxHeader.
func newFrameReader(r io.Reader, size int) *frameReader {
	return &frameReader{r: r, buf: make([]byte, size)}
}

// header reads a header. The payload has to be read or skipped before the next header.
func (f *frameReader) header() (opcode byte, length int, err error) {
	h, err := f.peek(2)
	if err != nil {
		return 0, 0, err
	}
	if h[0]&finBit == 0 || h[0]&0x70 != 0 || h[1]&maskBit != 0 {
		return 0, 0, fmt.Errorf("frame header % x: a fragment, an extension or a mask", h)
	}
	opcode, size := h[0]&0x0f, 2
	switch length = int(h[1]); length {
	case len16:
		size = 4
	case len64:
		size = maxHeader
	}
	if h, err = f.peek(size); err != nil {
		return 0, 0, unexpected(err)
	}
	long := uint64(length)
	switch length {
	case len16:
		long = uint64(binary.BigEndian.Uint16(h[2:]))
	case len64:
		long = binary.BigEndian.Uint64(h[2:])
	}
	if long > maxPayload {
		return 0, 0, fmt.Errorf("frame of %d bytes", long)
	}
	f.start += size
	return opcode, int(long), nil
}

// peek returns the next n bytes without consuming them. They are valid until the next call. n is at
// most the size of the buffer. The error is io.EOF only if there are no bytes at all.
func (f *frameReader) peek(n int) ([]byte, error) {
	for f.end-f.start < n {
		if f.start+n > len(f.buf) {
			f.end = copy(f.buf, f.buf[f.start:f.end])
			f.start = 0
		}
		got, err := f.r.Read(f.buf[f.end:])
		f.end += got
		if err != nil && f.end-f.start < n {
			if f.end > f.start {
				err = unexpected(err)
			}
			return nil, err
		}
	}
	return f.buf[f.start : f.start+n], nil
}

// skip consumes n bytes.
func (f *frameReader) skip(n int) error {
	for n > 0 {
		if f.start == f.end {
			got, err := f.r.Read(f.buf)
			f.start, f.end = 0, got
			if err != nil && got == 0 {
				return unexpected(err)
			}
		}
		some := min(n, f.end-f.start)
		f.start += some
		n -= some
	}
	return nil
}

// read consumes len(p) bytes and copies them to p.
func (f *frameReader) read(p []byte) error {
	n := copy(p, f.buf[f.start:f.end])
	f.start += n
	_, err := io.ReadFull(f.r, p[n:])
	return unexpected(err)
}

// unexpected returns the error of an end within a frame.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// appendFrame appends a frame of a client. Its masking key is zero, with which the masked payload
// is the payload itself (§5.3).
func appendFrame(b []byte, opcode byte, payload []byte) []byte {
	b = append(b, finBit|opcode)
	switch n := len(payload); {
	case n < len16:
		b = append(b, maskBit|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, maskBit|len16), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, maskBit|len64), uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}
