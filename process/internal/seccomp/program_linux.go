package seccomp

import (
	"math"

	"golang.org/x/sys/unix"
)

// program is a filter, or a part of one, in the classic BPF of the kernel
// (Documentation/networking/filter.rst).
type program []unix.SockFilter

// The offsets in struct seccomp_data. Both architectures are little-endian, so the lower half of an
// argument comes first.
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetArgs   = 16
)

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

// loadArg loads the lower 32 bits of an argument.
func loadArg(i int) unix.SockFilter { return load(uint32(offsetArgs + 8*i)) }

// jump skips as many instructions if the comparison of the accumulator with k is true, or false.
func jump(comparison uint16, k uint32, ifTrue, ifFalse uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | comparison | unix.BPF_K, Jt: ifTrue, Jf: ifFalse, K: k}
}

// and keeps those bits of the accumulator.
func and(mask uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: mask}
}

func ret(action uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
}

func fail(errno unix.Errno) unix.SockFilter { return ret(unix.SECCOMP_RET_ERRNO | uint32(errno)) }

// when executes a return if the accumulator is k.
func (p *program) when(k uint32, then unix.SockFilter) {
	*p = append(*p, jump(unix.BPF_JEQ, k, 0, 1), then)
}

// part is what a filter does with one system call.
type part struct {
	number uint32
	then   program
}

// search finds the part of the call whose number is in the accumulator. The parts are in the order
// of their numbers. A call without a part is allowed.
func search(parts []part) (p program) {
	const few = 4
	if len(parts) <= few {
		for _, part := range parts {
			p = append(append(p, jump(unix.BPF_JEQ, part.number, 0, uint8(len(part.then)))), part.then...)
		}
		return append(p, ret(unix.SECCOMP_RET_ALLOW))
	}
	half := len(parts) / 2
	lower, upper := search(parts[:half]), search(parts[half:])
	if len(lower) > math.MaxUint8 {
		panic("seccomp: a jump is too long")
	}
	return append(append(append(p, jump(unix.BPF_JGE, parts[half].number, uint8(len(lower)), 0)), lower...), upper...)
}
