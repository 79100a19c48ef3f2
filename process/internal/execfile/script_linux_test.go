package execfile

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// parsed is parseScriptLine of a whole file, as "interpreter" or "interpreter [argument]".
func parsed(text string) string {
	first := make([]byte, maxScriptLine)
	copy(first, text)
	line := parseScriptLine(first)
	if line == nil {
		return "none"
	}
	return strings.Join(append([]string{line.interpreter}, line.arguments...), " ")
}

// TestParseScriptLine compares with what the kernel does. The interpreter is this program, which
// prints its arguments.
func TestParseScriptLine(t *testing.T) {
	dir, err := os.MkdirTemp("", "rn")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	i := dir + "/i"
	if err := os.Symlink(own, i); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", maxScriptLine)
	fill := func(n int) string { return "#!" + strings.Repeat("/", n-len("#!"+i)) + i }
	for n, text := range []string{
		"#!" + i + "\n", "#!" + i, "#! \t" + i + " \t\n", "#!" + i + " a\n", "#!" + i + " a", "#!" + i + "  a b \t\nc",
		"#!" + i + " a  ", "#!" + i + " ", "#!" + i + "\x00x\n", "#!" + i + " a\x00b\n", "#!" + i + " a \x00\n", "#!" + i + " \x00a\n",
		"#!" + i + " " + long + "\n", "#!" + i + "\t" + long, "#!" + i + "\r\n",
		"#!\n", "#!", "#! ", "#!   \n" + i, "#!" + long, "#!" + strings.Repeat(" ", maxScriptLine) + i, "#!\x00" + i + "\n",
		"#!" + i + " " + long[:maxScriptLine-len(i)-4], "#!" + i + " " + long[:maxScriptLine-len(i)-3],
		"#!" + i + strings.Repeat(" ", maxScriptLine-len(i)-3), "#!" + i + strings.Repeat(" ", maxScriptLine-len(i)-2),
		fill(maxScriptLine), fill(maxScriptLine - 1), fill(maxScriptLine - 2), fill(maxScriptLine-1) + "\n", fill(maxScriptLine-2) + "\n",
		fill(maxScriptLine-1) + " ", fill(maxScriptLine-1) + "\x00",
	} {
		script := filepath.Join(dir, fmt.Sprint("script", n))
		if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(script, "end")
		cmd.Env = []string{printArguments + "=1"}
		out, err := cmd.Output()
		kernel := strings.TrimRight(string(out), "\n")
		if err != nil {
			kernel = "none"
		}
		own := parsed(text)
		if own != "none" {
			own = fmt.Sprintf("%q", append(strings.SplitN(own, " ", 2), script, "end"))
		}
		if strings.HasPrefix(own, `[""`) { // not a file: the exec fails too
			own = "none"
		}
		if own != kernel && !(strings.Contains(own, `\r`) && kernel == "none") {
			t.Errorf("%q: %s, but the kernel passes %s", text, own, kernel)
		}
	}
}

const printArguments = "RUNNEL_TEST_PRINT_ARGUMENTS"

func TestMain(m *testing.M) {
	if os.Getenv(printArguments) != "" {
		fmt.Printf("%q\n", os.Args)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func FuzzParseScriptLine(f *testing.F) {
	f.Add([]byte("#!/bin/sh -e\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		first := make([]byte, maxScriptLine)
		copy(first, text)
		line := parseScriptLine(first)
		if line != nil && (len(line.arguments) > 1 || strings.ContainsAny(line.interpreter+strings.Join(line.arguments, ""), "\x00\n")) {
			t.Errorf("%q: %+v", text, line)
		}
	})
}
