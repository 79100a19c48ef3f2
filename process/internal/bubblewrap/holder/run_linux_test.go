package holder

import "testing"

func TestArguments(t *testing.T) {
	for line, want := range map[string][2]bool{
		"/proc/self/fd/4\x00runnel-hold\x00":                                                         {false, true},
		"/proc/self/fd/4\x00runnel-hold-listen\x00":                                                  {true, true},
		"/proc/self/fd/5\x00--library-path\x00/proc/self/fd/6\x00/proc/self/fd/4\x00runnel-hold\x00": {false, true},
		"":                                    {},
		"runnel\x00serve\x00":                 {},
		"runnel\x00runnel-hold\x00":           {},
		"/proc/self/fd/4\x00runnel-hold":      {},
		"/proc/self/fd/4\x00xrunnel-hold\x00": {},
	} {
		if listen, ok := parseArguments([]byte(line)); listen != want[0] || ok != want[1] {
			t.Errorf("%q: %v, %v, want %v", line, listen, ok, want)
		}
	}
}

// TestNoHolder checks that this process, which has the arguments of no holder, is none.
func TestNoHolder(t *testing.T) {
	if _, ok := isHolder(); ok {
		t.Error("it is a holder")
	}
}
