package seccomp

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// numbers reads the numbers of the system calls from the source of golang.org/x/sys/unix.
func numbers(t *testing.T, goarch string) map[string]int {
	t.Helper()
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", "golang.org/x/sys/unix").Output()
	if err != nil {
		t.Skipf("SKIPPED: the source of golang.org/x/sys is not found: %v", err)
	}
	file := filepath.Join(strings.TrimSpace(string(dir)), "zsysnum_linux_"+goarch+".go")
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		name, ok := strings.CutPrefix(spec.Names[0].Name, "SYS_")
		if !ok || name == "ARCH_SPECIFIC_SYSCALL" { // the first one of a range that arm64 does not use
			return false
		}
		number, err := strconv.Atoi(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		found[strings.ToLower(name)] = number
		return false
	})
	return found
}

// TestTable checks that the table has every system call of both architectures, with its number.
func TestTable(t *testing.T) {
	for _, goarch := range []string{"amd64", "arm64"} {
		a, _ := archOf(goarch)
		want := numbers(t, goarch)
		if len(want) < 300 {
			t.Fatalf("%s: only %d system calls found in the source", goarch, len(want))
		}
		seen := map[int]string{}
		for i := range calls {
			c := &calls[i]
			number := a.number(c)
			switch w, ok := want[c.name]; {
			case !ok && number < 0:
			case w != number:
				t.Errorf("%s: %s has the number %d, not %d", goarch, c.name, w, number)
			case seen[number] != "":
				t.Errorf("%s: %s and %s have the number %d", goarch, seen[number], c.name, number)
			case number > lastCall:
				t.Errorf("%s: %s has the number %d, above lastCall", goarch, c.name, number)
			default:
				seen[number] = c.name
			}
			delete(want, c.name)
		}
		for name := range want {
			t.Errorf("%s: %s is not in the table", goarch, name)
		}
	}
}
