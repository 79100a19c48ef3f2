package seccomp

import "golang.org/x/sys/unix"

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

func ret(action uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
}

func fail(errno unix.Errno) unix.SockFilter { return ret(unix.SECCOMP_RET_ERRNO | uint32(errno)) }

// when executes a return if the accumulator is k.
func (p *program) when(k uint32, then unix.SockFilter) {
	*p = append(*p, jump(unix.BPF_JEQ, k, 0, 1), then)
}

// check executes a part for one system call, whose number is in the accumulator.
func (p *program) check(number uint32, part program) {
	if part == nil {
		return
	}
	*p = append(append(*p, jump(unix.BPF_JEQ, number, 0, uint8(len(part)))), part...)
}

// refuse fails the system calls with the numbers, of which there are at most 255: a jump cannot be
// longer.
func (p *program) refuse(numbers []uint32, errno unix.Errno) {
	for i, n := range numbers {
		*p = append(*p, jump(unix.BPF_JEQ, n, uint8(len(numbers)-i), 0))
	}
	*p = append(*p, jump(unix.BPF_JA, 1, 0, 0), fail(errno))
}
