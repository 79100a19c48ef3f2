package server

import (
	"encoding/binary"
	"math"

	"github.com/coder/websocket"
)

// The opcodes (RFC 6455 §5.2).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa
)

const (
	finBit      = 0x80
	reserved    = 0x70
	opcodeBits  = 0x0f
	maskBit     = 0x80
	lengthBits  = 0x7f
	length16    = 126 // the length is in the next two bytes
	length64    = 127 // … eight bytes
	minHeader   = 2
	maskingKey  = 4
	maxControl  = 125 // bytes of the payload of a control frame (§5.5)
	controlBits = 0x8 // of an opcode
)

// frameHeader is the header of a frame from a client.
type frameHeader struct {
	fin    bool
	opcode byte
	length int64
	key    [maskingKey]byte
}

func (h *frameHeader) isControl() bool { return h.opcode&controlBits != 0 }

// headerBytes returns the length of the header of which b is the beginning, at least minHeader
// bytes. It checks what these show: a client must mask (§5.1), and control frames are short and not
// fragmented (§5.5).
func headerBytes(b []byte) (int, error) {
	opcode, length := b[0]&opcodeBits, b[1]&lengthBits
	switch {
	case b[0]&reserved != 0:
		return 0, violation("a reserved bit is set")
	case b[1]&maskBit == 0:
		return 0, violation("the frame is not masked")
	case opcode&controlBits != 0 && length > maxControl:
		return 0, violation("the control frame is too long")
	case opcode&controlBits != 0 && b[0]&finBit == 0:
		return 0, violation("the control frame is fragmented")
	case opcode > opBinary && opcode < opClose, opcode > opPong:
		return 0, violation("the opcode is not known")
	}
	switch length {
	case length16:
		return minHeader + 2 + maskingKey, nil
	case length64:
		return minHeader + 8 + maskingKey, nil
	}
	return minHeader + maskingKey, nil
}

// parseHeader parses a whole header. The length must be in the shortest form (§5.2).
func parseHeader(b []byte) (h frameHeader, err error) {
	h.fin, h.opcode = b[0]&finBit != 0, b[0]&opcodeBits
	length, shortest := uint64(b[1]&lengthBits), uint64(0)
	switch length {
	case length16:
		length, shortest = uint64(binary.BigEndian.Uint16(b[minHeader:])), length16
	case length64:
		length, shortest = binary.BigEndian.Uint64(b[minHeader:]), math.MaxUint16+1
	}
	if length < shortest || length > math.MaxInt64 {
		return h, violation("the length of the frame is not valid")
	}
	h.length = int64(length)
	copy(h.key[:], b[len(b)-maskingKey:])
	return h, nil
}

// unmask removes the mask from a part of a payload (§5.3), and rotates the key to the part that
// follows.
func (h *frameHeader) unmask(b []byte) {
	key := binary.LittleEndian.Uint32(h.key[:])
	wide, rest := uint64(key)<<32|uint64(key), b
	for ; len(rest) >= 32; rest = rest[32:] {
		four, le := (*[32]byte)(rest), binary.LittleEndian
		le.PutUint64(four[0:], le.Uint64(four[0:])^wide)
		le.PutUint64(four[8:], le.Uint64(four[8:])^wide)
		le.PutUint64(four[16:], le.Uint64(four[16:])^wide)
		le.PutUint64(four[24:], le.Uint64(four[24:])^wide)
	}
	for i := range rest {
		rest[i] ^= h.key[i%maskingKey]
	}
	rotated := h.key
	for i := range rotated {
		h.key[i] = rotated[(i+len(b))%maskingKey]
	}
}

// violation is the error of a peer that violated the protocol (§7.4.1).
func violation(reason string) error { return &closeError{websocket.StatusProtocolError, reason} }
