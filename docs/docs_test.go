// Package docs holds the documents of Runnel. Its tests compare them with the code.
package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/server"
)

const root = ".."

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// source is what the Go files of the repository declare, without the tests.
type source struct {
	files map[string]bool // by path and by base name, and the directories of packages
	names map[string]bool // f, T, T.method, T.field, pkg.f, pkg.T, pkg.T.method, pkg.T.field
	words map[string]bool // the names of fields on the wire, of json tags
	flags map[string]bool // of the command line
	verbs []string        // of the command line
}

var parse = sync.OnceValues(func() (*source, error) {
	s := &source{files: map[string]bool{}, names: map[string]bool{}, words: map[string]bool{}, flags: map[string]bool{"--help": true}}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || d.Name() == ".git"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		for _, name := range []string{rel, filepath.Base(rel), filepath.Dir(rel)} {
			s.files[name] = true
		}
		if strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			s.add(file.Name.Name, decl)
		}
		return nil
	})
	return s, err
})

func declared(t *testing.T) *source {
	t.Helper()
	s, err := parse()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *source) name(pkg, name string) {
	s.names[name], s.names[pkg+"."+name] = true, true
}

func (s *source) add(pkg string, decl ast.Decl) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			s.name(pkg, d.Name.Name)
			return
		}
		s.names[d.Name.Name] = true
		s.name(pkg, receiver(d.Recv.List[0].Type)+"."+d.Name.Name)
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					s.name(pkg, name.Name)
				}
			case *ast.TypeSpec:
				s.name(pkg, spec.Name.Name)
				s.members(pkg, spec)
			}
		}
	}
}

// members adds the fields of a struct and the methods of an interface.
func (s *source) members(pkg string, spec *ast.TypeSpec) {
	var list *ast.FieldList
	switch t := spec.Type.(type) {
	case *ast.StructType:
		list = t.Fields
	case *ast.InterfaceType:
		list = t.Methods
	default:
		return
	}
	name := spec.Name.Name
	command := pkg == "main" && (strings.HasSuffix(name, "Cmd") || strings.HasSuffix(name, "Flags") || name == "bounds" || name == "target")
	for _, field := range list.List {
		var tag reflect.StructTag
		if field.Tag != nil {
			tag = reflect.StructTag(strings.Trim(field.Tag.Value, "`"))
		}
		if word, _, _ := strings.Cut(tag.Get("json"), ","); word != "" {
			s.words[word] = true
		}
		for _, name := range field.Names {
			s.names[name.Name] = true
			s.name(pkg, spec.Name.Name+"."+name.Name)
			_, verb := tag.Lookup("cmd")
			if verb && pkg == "main" && spec.Name.Name == "cli" {
				s.verbs = append(s.verbs, strings.ToLower(name.Name))
			}
			if _, arg := tag.Lookup("arg"); command && !verb && tag.Get("help") != "" && !arg {
				s.flags["--"+flagName(name.Name, tag)] = true
			}
		}
	}
}

func receiver(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.StarExpr:
		return receiver(t.X)
	case *ast.IndexExpr:
		return receiver(t.X)
	case *ast.IndexListExpr:
		return receiver(t.X)
	case *ast.Ident:
		return t.Name
	}
	return ""
}

// flagName is the name that kong gives to the flag of a field.
func flagName(field string, tag reflect.StructTag) string {
	if name := tag.Get("name"); name != "" {
		return name
	}
	var b strings.Builder
	before := 'A'
	for _, r := range field {
		if unicode.IsUpper(r) && unicode.IsLower(before) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
		before = r
	}
	return b.String()
}

// flagsOfOthers are flags of docker, podman, systemd-run and bwrap that operating.md and sandbox.md name.
var flagsOfOthers = []string{"--pids-limit", "--security-opt", "--pipe", "--wait", "--bind-fd"}

// TestFlags compares the flags of the command line with those that operating.md names.
func TestFlags(t *testing.T) {
	known := declared(t).flags
	if len(known) < 30 {
		t.Fatalf("only %d flags found in the source", len(known))
	}
	known["--version"] = true // in place of a verb
	named := map[string]bool{"--help": true}
	for _, flag := range regexp.MustCompile(`--[a-z][a-z-]*[a-z]`).FindAllString(read(t, "docs/operating.md"), -1) {
		if slices.Contains(flagsOfOthers, flag) {
			continue
		}
		named[flag] = true
		if !known[flag] {
			t.Errorf("docs/operating.md names the flag %s, which does not exist", flag)
		}
	}
	for flag := range known {
		if !named[flag] {
			t.Errorf("docs/operating.md does not name the flag %s", flag)
		}
	}
}

// TestSandboxFlags checks that the flags that sandbox.md names exist.
func TestSandboxFlags(t *testing.T) {
	known := declared(t).flags
	for _, flag := range regexp.MustCompile(`--[a-z][a-z-]*[a-z]`).FindAllString(read(t, "docs/sandbox.md"), -1) {
		if !known[flag] && !slices.Contains(flagsOfOthers, flag) {
			t.Errorf("docs/sandbox.md names the flag %s, which does not exist", flag)
		}
	}
}

// TestVerbs checks that README.md lists every verb of the command line.
func TestVerbs(t *testing.T) {
	verbs := declared(t).verbs
	if len(verbs) < 10 {
		t.Fatalf("only %d verbs found in the source", len(verbs))
	}
	_, list, _ := strings.Cut(read(t, "README.md"), "\n## The command line\n")
	list, _, _ = strings.Cut(list, "\n## ")
	for _, verb := range verbs {
		if !regexp.MustCompile(`(?m)^    runnel ([a-z]+ ID \| )?` + verb + `\b`).MatchString(list) {
			t.Errorf("README.md does not list the verb %s", verb)
		}
	}
}

// TestBenchmarks checks that benchmarks.md and the task bench run the same benchmarks, and that each of them exists.
func TestBenchmarks(t *testing.T) {
	command := regexp.MustCompile(`(?m)^ +(?:- )?(go test -run '\^\$' -bench .*|go run ./cmd/runnel-bench -write .*)$`)
	var documented []string
	for _, m := range command.FindAllStringSubmatch(read(t, "docs/benchmarks.md"), -1) {
		documented = append(documented, m[1])
	}
	_, task, _ := strings.Cut(read(t, "Taskfile.yml"), "\n  bench:\n")
	var run []string
	for _, m := range command.FindAllStringSubmatch(task, -1) {
		run = append(run, m[1])
	}
	if len(run) < 5 || !slices.Equal(documented, run) {
		t.Errorf("docs/benchmarks.md has\n%s\nTaskfile.yml has\n%s", strings.Join(documented, "\n"), strings.Join(run, "\n"))
	}
	for _, line := range run {
		words := strings.Fields(strings.ReplaceAll(line, "'", ""))
		if words[1] == "run" {
			continue
		}
		for _, pattern := range strings.Split(words[5], "|") {
			for _, dir := range words[6:] {
				if strings.HasPrefix(dir, "./") && !hasBenchmark(t, dir, pattern) {
					t.Errorf("no benchmark of %s matches %s", dir, pattern)
				}
			}
		}
	}
}

func hasBenchmark(t *testing.T, dir, pattern string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`(?m)^func Benchmark\w*` + pattern)
	return slices.ContainsFunc(files, func(file string) bool {
		text, err := os.ReadFile(file)
		return err == nil && name.Match(text)
	})
}

var quoted = regexp.MustCompile("`([^`]+)`")

// TestBounds checks that the constants in the tables of bounds in operating.md exist.
func TestBounds(t *testing.T) {
	s := declared(t)
	_, text, _ := strings.Cut(read(t, "docs/operating.md"), "\n## Bounds\n")
	text, _, _ = strings.Cut(text, "\n## ")
	rows := 0
	for line := range strings.Lines(text) {
		cells := strings.Split(line, " | ")
		if !strings.HasPrefix(line, "|") || len(cells) < 4 {
			continue
		}
		rows++
		for _, name := range quoted.FindAllStringSubmatch(cells[2], -1) {
			if !strings.HasPrefix(name[1], "--") && !s.names[name[1]] && !s.words[name[1]] && name[1] != "MaxHeaderBytes" {
				t.Errorf("docs/operating.md: %s does not exist", name[1])
			}
		}
	}
	if rows < 80 {
		t.Errorf("only %d bounds found", rows)
	}
}

// goName matches what architecture.md quotes and means a declaration: it has a capital letter, a dot or parentheses.
var goName = regexp.MustCompile(`^[A-Za-z]\w*(\.[A-Za-z]\w*){0,2}(\(\))?$`)

// In a diagram these are a file, and a function, a method or a field with its type or package.
var (
	diagramFile = regexp.MustCompile(`[\w/]+\.go\b`)
	diagramName = regexp.MustCompile(`\b[A-Za-z]\w*\.[A-Za-z]\w*(\.[A-Za-z]\w*)?`)
)

// foreign are the names in architecture.md that this repository does not declare.
var foreign = []string{
	"http.Server", "tls.Conn", "jsonrpc2.Conn", "jsonrpc2.Request", "websocket.Accept", "syscall.ForkExec", "os.File.Write", "TCP_NOTSENT_LOWAT",
	"PIDFD_SIGNAL_PROCESS_GROUP", "SIGKILL", "cgroup.kill", "cgroup.events", "process.gap", "process.exited", "process.completed",
	"server.shutdown",
}

// TestArchitecture checks that every function, type and file that architecture.md names exists.
func TestArchitecture(t *testing.T) {
	s := declared(t)
	text := read(t, "docs/architecture.md")
	checked := 0
	check := func(name string) {
		checked++
		switch {
		case strings.HasSuffix(name, ".go") && !s.files[name]:
			t.Errorf("docs/architecture.md: the file %s does not exist", name)
		case !strings.HasSuffix(name, ".go") && !s.names[name] && !s.words[name] && !slices.Contains(foreign, name):
			t.Errorf("docs/architecture.md: %s does not exist", name)
		}
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "    ") {
			for _, name := range diagramFile.FindAllString(line, -1) {
				check(name)
			}
			for _, name := range diagramName.FindAllString(diagramFile.ReplaceAllString(line, ""), -1) {
				check(name)
			}
		}
	}
	declaration := func(r rune) bool { return unicode.IsUpper(r) || r == '.' || r == '(' }
	for _, m := range quoted.FindAllStringSubmatch(text, -1) {
		if strings.HasSuffix(m[1], ".go") || goName.MatchString(m[1]) && strings.ContainsFunc(m[1], declaration) {
			check(strings.TrimSuffix(m[1], "()"))
		}
	}
	if checked < 200 {
		t.Errorf("only %d names found", checked)
	}
}

// TestProtocol checks that protocol.md names all methods, params of execute, notifications, limits and error kinds.
func TestProtocol(t *testing.T) {
	text := read(t, "docs/protocol.md")
	_, execute, _ := strings.Cut(text, "\n## execute\n")
	for name := range members(reflect.TypeFor[rpc.ExecuteParams]()) {
		if !strings.Contains(execute, "\n| `"+name+"` | ") {
			t.Errorf("docs/protocol.md: there is no row for the param %s of execute", name)
		}
	}
	var names []string
	for _, m := range server.Methods() {
		names = append(names, m.Name)
	}
	for name := range members(reflect.TypeFor[rpc.Bounds]()) {
		names = append(names, name)
	}
	kinds := regexp.MustCompile(`"kind": "(\w+)"`).FindAllStringSubmatch(read(t, "rpc/errors.go"), -1)
	if len(kinds) < 15 {
		t.Errorf("only %d kinds of errors found", len(kinds))
	}
	for _, m := range kinds {
		names = append(names, m[1])
	}
	for _, name := range names {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("docs/protocol.md does not name %s", name)
		}
	}
}

// members yields the names of the fields of a struct in JSON.
func members(t reflect.Type) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range t.NumField() {
			if name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); !yield(name) {
				return
			}
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinks checks that the relative links of the documents lead to a file, and to a heading of it.
func TestLinks(t *testing.T) {
	documents, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(documents, "../README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := path
			if target != "" {
				file = filepath.Join(filepath.Dir(path), target)
			}
			linked, err := os.ReadFile(file)
			if info, e := os.Stat(file); e == nil && info.IsDir() {
				err = nil
			}
			switch {
			case err != nil:
				t.Errorf("%s links to %s, which does not exist", path, m[1])
			case anchor != "" && !slices.Contains(headings(string(linked)), anchor):
				t.Errorf("%s links to %s, but there is no such heading", path, m[1])
			}
		}
	}
}

// headings returns the anchors that GitHub makes of the headings of a document.
func headings(text string) (anchors []string) {
	for line := range strings.Lines(text) {
		if title := strings.TrimLeft(line, "#"); title != line && strings.HasPrefix(title, " ") {
			anchor := strings.Map(func(r rune) rune {
				switch {
				case r == ' ':
					return '-'
				case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
					return unicode.ToLower(r)
				}
				return -1
			}, strings.TrimSpace(title))
			anchors = append(anchors, anchor)
		}
	}
	return anchors
}
