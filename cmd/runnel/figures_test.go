package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
)

// figuresVariable has the path of the socket of mainWithFigures. It is not passed on to commands.
const figuresVariable = "RUNNEL_TEST_FIGURES"

// runtimeFigures are what a server reports of its Go runtime.
type runtimeFigures struct {
	Heap       uint64         // bytes of live objects
	Goroutines map[string]int // by the functions on their stacks
}

// mainWithFigures is main with a socket that reports the figures of the Go runtime to a test: each
// connection gets them once. Only the test binary has it.
func mainWithFigures() {
	l, err := net.Listen("unix", os.Getenv(figuresVariable))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = json.NewEncoder(c).Encode(ownFigures())
			_ = c.Close()
		}
	}()
	main()
}

// ownFigures collects garbage first, twice, because a sync.Pool keeps its content for one more
// collection, and returns free memory to the system.
func ownFigures() (f runtimeFigures) {
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f.Heap = m.HeapAlloc
	var text bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&text, 1)
	f.Goroutines = goroutinesByStack(text.String())
	return f
}

// stackFrame is a line of a goroutine profile with the name of a function.
var stackFrame = regexp.MustCompile(`(?m)^#\t0x[0-9a-f]+\t(\S+?)\+0x`)

// goroutinesByStack counts the goroutines of a profile (debug=1 of runtime/pprof) with equal
// functions on their stacks.
func goroutinesByStack(profile string) map[string]int {
	counts := make(map[string]int)
	for group := range strings.SplitSeq(profile, "\n\n") {
		var frames []string
		for _, f := range stackFrame.FindAllStringSubmatch(group, -1) {
			frames = append(frames, f[1])
		}
		if i := strings.Index(group, " @ "); i > 0 && len(frames) > 0 {
			n, _ := strconv.Atoi(group[strings.LastIndexByte(group[:i], '\n')+1 : i])
			counts[strings.Join(frames, " < ")] += n
		}
	}
	return counts
}
