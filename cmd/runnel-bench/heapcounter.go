//go:build linux

package main

import (
	"debug/dwarf"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
)

// heapCounter reads how many bytes a Go process has allocated on its heap since its start, from the
// memory of the process (proc_pid_mem(5)). The Go runtime counts them in gcController.totalAlloc.
// It adds a span (usually 8 KiB of objects of one size) when it takes the next one, so the counter
// is exact but for one span for each size and each processor.
type heapCounter struct {
	address int64 // of the counter
}

// The variable of the runtime, and its field (runtime/mgcpacer.go).
const (
	counterVariable = "runtime.gcController"
	counterField    = "totalAlloc"
)

// newHeapCounter finds the counter by the symbols and the debugging information of a binary.
func newHeapCounter(path string) (*heapCounter, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.Type != elf.ET_EXEC {
		return nil, fmt.Errorf("%s is position-independent", path)
	}
	symbols, err := f.Symbols()
	if err != nil {
		return nil, err
	}
	info, err := f.DWARF()
	if err != nil {
		return nil, err
	}
	offset, err := counterOffset(info)
	if err != nil {
		return nil, err
	}
	for _, s := range symbols {
		if s.Name == counterVariable {
			return &heapCounter{address: int64(s.Value) + offset}, nil
		}
	}
	return nil, fmt.Errorf("%s has no symbol %s", path, counterVariable)
}

// counterOffset returns the offset of the counter in its variable.
func counterOffset(info *dwarf.Data) (int64, error) {
	r := info.Reader()
	for {
		entry, err := r.Next()
		switch {
		case err != nil:
			return 0, err
		case entry == nil:
			return 0, errors.New("no debugging information of " + counterVariable)
		case entry.Tag == dwarf.TagCompileUnit && entry.Val(dwarf.AttrName) != "runtime":
			r.SkipChildren()
		case entry.Tag == dwarf.TagVariable && entry.Val(dwarf.AttrName) == counterVariable:
			of, _ := entry.Val(dwarf.AttrType).(dwarf.Offset)
			t, err := info.Type(of)
			if err != nil {
				return 0, err
			}
			return fieldOffset(t)
		case entry.Tag != dwarf.TagCompileUnit && entry.Children:
			r.SkipChildren()
		}
	}
}

// fieldOffset returns the offset of counterField in a struct.
func fieldOffset(t dwarf.Type) (int64, error) {
	for {
		alias, ok := t.(*dwarf.TypedefType)
		if !ok {
			break
		}
		t = alias.Type
	}
	if s, ok := t.(*dwarf.StructType); ok {
		for _, field := range s.Field {
			if field.Name == counterField && field.Type.Size() == 8 {
				return field.ByteOffset, nil
			}
		}
	}
	return 0, fmt.Errorf("%s has no field %s of 8 bytes", counterVariable, counterField)
}

// read returns the number of bytes that the process has allocated.
func (h *heapCounter) read(pid int) (uint64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var b [8]byte
	if _, err := f.ReadAt(b[:], h.address); err != nil {
		return 0, err
	}
	return binary.NativeEndian.Uint64(b[:]), nil
}
