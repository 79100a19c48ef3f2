//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// serverFrame is a frame as a server writes it.
func serverFrame(opcode byte, payload string) []byte {
	b := []byte{finBit | opcode}
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}

func TestFrameReader(t *testing.T) {
	sizes := []int{0, 1, 125, 126, 127, 4096, 65535, 65536, maxPayload}
	var stream []byte
	for i, n := range sizes {
		stream = append(stream, serverFrame(byte(1+i%2), strings.Repeat("x", n))...)
	}
	for name, r := range map[string]io.Reader{
		"one byte": iotest.OneByteReader(bytes.NewReader(stream)), "all": bytes.NewReader(stream),
		"halves": iotest.HalfReader(bytes.NewReader(stream)), "error with data": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		f := newFrameReader(r, 200)
		for i, n := range sizes {
			opcode, length, err := f.header()
			if err != nil || opcode != byte(1+i%2) || length != n {
				t.Fatalf("%s: frame of %d bytes: opcode %d, %d bytes, %v", name, n, opcode, length, err)
			}
			if err := consume(f, i, length); err != nil {
				t.Fatalf("%s: frame of %d bytes: %v", name, n, err)
			}
		}
		if _, _, err := f.header(); err != io.EOF {
			t.Errorf("%s: at the end: %v", name, err)
		}
	}
}

// consume reads or skips a payload of x.
func consume(f *frameReader, how, length int) error {
	if head, err := f.peek(min(length, 100)); err != nil || len(head) != min(length, 100) {
		return errors.Join(err, errors.New("peek"))
	}
	if how%3 == 0 {
		return f.skip(length)
	}
	p := make([]byte, length)
	if err := f.read(p); err != nil {
		return err
	}
	if strings.Trim(string(p), "x") != "" {
		return errors.New("wrong payload")
	}
	return nil
}

func TestFrameReaderRefuses(t *testing.T) {
	long := binary.BigEndian.AppendUint64([]byte{0x81, 127}, maxPayload+1)
	longest := binary.BigEndian.AppendUint64([]byte{0x81, 127}, 1<<64-1)
	for name, b := range map[string][]byte{
		"fragment": {0x01, 0}, "reserved bit": {0xc1, 0}, "mask": {0x81, 0x80, 0, 0, 0, 0}, "long frame": long, "longest frame": longest,
	} {
		if _, _, err := newFrameReader(bytes.NewReader(b), 200).header(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	whole := serverFrame(opText, strings.Repeat("x", 300))
	for n := 1; n < len(whole); n++ {
		f := newFrameReader(bytes.NewReader(whole[:n]), 200)
		_, length, err := f.header()
		if err == nil {
			err = f.skip(length)
		}
		if err != io.ErrUnexpectedEOF {
			t.Errorf("%d bytes of a frame: %v", n, err)
		}
	}
}

// FuzzFrameReader checks that frames do not depend on how the bytes arrive.
func FuzzFrameReader(f *testing.F) {
	f.Add(append(serverFrame(opText, strings.Repeat("x", 300)), serverFrame(opPing, "ping")...), uint(3))
	f.Add([]byte{0x81, 126, 0, 200}, uint(200))
	f.Fuzz(func(t *testing.T, b []byte, size uint) {
		size = maxHeader + size%1000
		one := readFrames(newFrameReader(iotest.OneByteReader(bytes.NewReader(b)), maxHeader))
		all := readFrames(newFrameReader(bytes.NewReader(b), int(size)))
		if !bytes.Equal(one, all) {
			t.Errorf("% x\n% x", one, all)
		}
	})
}

// readFrames returns the opcodes, lengths and payloads of all frames, and the error.
func readFrames(f *frameReader) (all []byte) {
	for {
		opcode, length, err := f.header()
		if err != nil {
			return append(all, err.Error()...)
		}
		all = binary.BigEndian.AppendUint64(append(all, opcode), uint64(length))
		if length%2 == 0 {
			err = f.skip(length)
		} else {
			p := make([]byte, length)
			if err = f.read(p); err == nil {
				all = append(all, p...)
			}
		}
		if err != nil {
			return append(all, err.Error()...)
		}
	}
}
