package execfile

import (
	"bytes"
	"encoding/binary"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// maxScriptLine is how much of a script the kernel reads (BINPRM_BUF_SIZE).
	maxScriptLine = 256
	// maxHeaders bounds the size of the program headers of an ELF file, as the kernel does.
	maxHeaders = 64 << 10
)

// interpreterOf returns the interpreter of a script (execve(2)) or of an ELF file (elf(5)), or ""
// if it has none or is malformed, which the exec reports.
func interpreterOf(fd int) string {
	var first [1024]byte
	n, err := unix.Pread(fd, first[:], 0)
	if err != nil {
		return ""
	}
	head := first[:n]
	if script, ok := bytes.CutPrefix(head, []byte("#!")); ok {
		return scriptInterpreter(script[:min(len(script), maxScriptLine-2)])
	}
	if bytes.HasPrefix(head, []byte("\x7fELF")) && len(head) >= 64 {
		return elfInterpreter(fd, head)
	}
	return ""
}

func scriptInterpreter(line []byte) string {
	line, _, _ = bytes.Cut(line, []byte("\n"))
	line = bytes.TrimLeft(line, " \t")
	if end := bytes.IndexAny(line, " \t\x00"); end >= 0 {
		line = line[:end]
	}
	return string(line)
}

// elfInterpreter returns the path in the program header PT_INTERP. head is the start of the file.
func elfInterpreter(fd int, head []byte) string {
	const interp = 3 // PT_INTERP
	var order binary.ByteOrder = binary.LittleEndian
	if head[5] == 2 { // ELFDATA2MSB
		order = binary.BigEndian
	}
	var offset, size, count uint64
	wide := head[4] == 2 // ELFCLASS64
	if wide {
		offset, size, count = order.Uint64(head[32:]), uint64(order.Uint16(head[54:])), uint64(order.Uint16(head[56:]))
	} else {
		offset, size, count = uint64(order.Uint32(head[28:])), uint64(order.Uint16(head[42:])), uint64(order.Uint16(head[44:]))
	}
	if size < 32 || wide && size < 56 || size*count > maxHeaders {
		return ""
	}
	headers := section(fd, head, offset, size*count)
	for ; uint64(len(headers)) >= size; headers = headers[size:] {
		if order.Uint32(headers) != interp {
			continue
		}
		if wide {
			offset, size = order.Uint64(headers[8:]), order.Uint64(headers[32:])
		} else {
			offset, size = uint64(order.Uint32(headers[4:])), uint64(order.Uint32(headers[16:]))
		}
		name, _, _ := strings.Cut(string(section(fd, head, offset, min(size, unix.PathMax))), "\x00")
		return name
	}
	return ""
}

// section returns n bytes of a file at an offset, or nil if the file is shorter. head is the start
// of the file.
func section(fd int, head []byte, offset, n uint64) []byte {
	if offset <= uint64(len(head)) && n <= uint64(len(head))-offset {
		return head[offset : offset+n]
	}
	if offset > 1<<62 {
		return nil
	}
	b := make([]byte, n)
	if got, err := unix.Pread(fd, b, int64(offset)); err != nil || uint64(got) < n {
		return nil
	}
	return b
}
