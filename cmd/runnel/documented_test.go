//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// documentedCommands are blocks of commands of a page, which are run one after the other in one directory.
type documentedCommands struct {
	page   string
	begin  []string // how each block begins
	before string   // commands that make what the blocks expect to exist
	after  string
	stdout string           // a regular expression
	needs  func(*testing.T) // skips the test if the machine does not have what the commands need
	notRun string           // why they are not run here
}

const stubs = `mkdir bin; printf '#!/bin/sh\necho ${0##*/} "$@"\n' >bin/make; chmod +x bin/make; cp bin/make bin/npm; cp bin/make configure
PATH=$PWD/bin:$PATH; mkdir -p secrets .npm .git; `

// commandsInDocuments has every block of commands of README.md and docs. Those of docs/recipes.md are run by
// TestRecipes.
var commandsInDocuments = []documentedCommands{
	{page: "README.md", begin: []string{"go run ./cmd/runnel run", "go build -o runnel"}, stdout: `^hello\n3\n$`},
	{page: "README.md", begin: []string{"go test ./..."}, notRun: "this test is a part of it"},
	{page: "README.md", begin: []string{"runnel serve        #"}, after: "runnel ps", stdout: `^SESSION .*\n$`},
	{page: "README.md", begin: []string{"runnel serve      "}, notRun: "the list of verbs, which a test of docs checks"},
	{page: "docs/benchmarks.md", begin: []string{"go run ./cmd/runnel-bench", "go run ./cmd/runnel-bench -write"}, notRun: ".ci/run runs them for a short time"},
	{page: "docs/benchmarks.md", begin: []string{"go run ./cmd/runnel-bench -only throughput,spooled"}, notRun: ".ci/run runs them for a short time"},
	{page: "docs/benchmarks.md", begin: []string{"go run ./cmd/runnel-bench -only codex -codex PATH"}, notRun: "it needs the command line of Codex"},
	{page: "docs/contributing.md", begin: []string{"go build -o", "go build -ldflags"}, notRun: "TestRelease builds the program with a tag"},
	{
		page: "docs/operating.md", begin: []string{"mkdir -p /etc/runnel", "runnel serve --shared-user", "runnel ps --url", "(umask 077; runnel token new alice >alice.new)"},
		stdout: `(?s)^runnel_.*\nalice .*\nops .*\ndashboard +observe .*\n1 revoked\nSESSION .*\nalice .*\nalice .*\n1 revoked\n$`,
	},
	{
		page: "docs/operating.md", begin: []string{
			"openssl req -x509", "printf 'subjectAltName = DNS:build", "printf 'subjectAltName = DNS:ci-1", "printf '[[certificate]]", "runnel run --url wss:",
		},
		before: "exec 2>openssl.log; ", stdout: `^uid=`, needs: needOpenSSL,
	},
	{page: "docs/operating.md", begin: []string{"runnel serve --jwt-jwks"}, notRun: "there is no such issuer; TestJWT has one"},
	{
		page: "docs/operating.md", begin: []string{"runnel context add prod"},
		before: "mkdir .secrets; (umask 077; echo secret >.secrets/prod); echo >ca.pem; ", stdout: `(?s)prod +wss://runnel\.example/ws`,
	},
	{
		page: "docs/operating.md", begin: []string{"runnel run --sandbox workspace -- make"},
		before: stubs, stdout: `^make\nnpm ci\nconfigure\nmake test\nmake\n$`, needs: needSandbox,
	},
	{page: "docs/operating.md", begin: []string{"runnel logs --cast ID"}, notRun: "TestCastIsPlayed does, with a session"},
	{page: "docs/operating.md", begin: []string{"runnel run -t --detach"}, notRun: "they are for a terminal; TestReturnToAnEditor has some"},
	{page: "docs/policy.md", begin: []string{"runnel policy check FILE", "runnel policy check FILE --as"}, notRun: "usage, not commands"},
	{page: "docs/sandbox.md", begin: []string{"runnel sandbox check", "runnel run --sandbox workspace -- make"}, before: stubs, stdout: `(?s)\nmake\n$`, needs: needSandbox},
	{
		page: "docs/sandbox.md", begin: []string{"runnel serve --sandbox-profiles"},
		before: stubs + "mkdir .ssh .aws .cache; printf '[[profile]]\nname = \"build\"\nfiles = [{path = \".\", access = \"write\"}]\n' >sandboxes.toml; ",
		after:  "runnel run -- make", stdout: `^make\n$`, needs: needSandbox,
	},
	{
		page: "docs/sandbox.md", begin: []string{"runnel run --sandbox workspace --processes shared"},
		before: stubs, stdout: `^make\n$`, needs: needSandbox,
	},
	{page: "docs/sandbox.md", begin: []string{"podman run"}, notRun: "they are for containers"},
	{page: "docs/security.md", begin: []string{"mkdir -p /etc/runnel /var/log"}, notRun: "they need users; TestPrincipalsWithUsersAreIsolated has them"},
	{page: "docs/security.md", begin: []string{"runnel serve --listen 0.0.0.0:8003", "runnel serve --listen unix:/run"}, notRun: "they are for networks"},
}

// commandLine is the first line of a block of commands.
var commandLine = regexp.MustCompile(`(?m)^    (\(umask|\./runnel |runnel |go |mkdir|openssl|printf|export|podman)`)

// blocksOf returns the blocks of commands of a page, without their indentation.
func blocksOf(t *testing.T, page string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", page))
	if err != nil {
		t.Fatal(err)
	}
	for paragraph := range strings.SplitSeq(string(text), "\n\n") {
		if strings.HasPrefix(paragraph, "    ") && commandLine.MatchString(paragraph) {
			blocks = append(blocks, strings.ReplaceAll(paragraph[4:], "\n    ", "\n"))
		}
	}
	return blocks
}

// TestDocumentedCommands runs the commands of README.md and docs.
func TestDocumentedCommands(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) < 10 {
		t.Fatal(pages, err)
	}
	found := make(map[string][]string) // blocks by page
	for _, path := range append(pages, "../../README.md") {
		page, _ := filepath.Rel("../..", path)
		if page != "docs/recipes.md" {
			found[page] = blocksOf(t, page)
		}
	}
	for i, c := range commandsInDocuments {
		script := ""
		for _, begin := range c.begin {
			all := found[c.page]
			at := 0
			for at < len(all) && !strings.HasPrefix(all[at], begin) {
				at++
			}
			if at == len(all) {
				t.Errorf("%s has no commands that begin with %q", c.page, begin)
				continue
			}
			script += all[at] + "\n"
			found[c.page] = append(all[:at:at], all[at+1:]...)
		}
		if c.notRun == "" {
			t.Run(fmt.Sprintf("%s-%d", filepath.Base(c.page), i), func(t *testing.T) { c.run(t, script) })
		}
	}
	for page, blocks := range found {
		for _, b := range blocks {
			t.Errorf("commands of %s are not in the list:\n%s", page, b)
		}
	}
}

// servers makes `runnel serve` run in the background until the end, or the next `runnel serve`. The hash in
// a document is replaced by that of the newest token.
const servers = `
server=
stop() { if [ -n "$server" ]; then kill $server; wait $server || :; server=; rm -f ready; fi; }
serve() {
	stop
	command runnel serve --ready-file "$PWD/ready" "$@" 2>serve.log & server=$!
	until [ -s ready ]; do kill -0 $server || { cat serve.log >&2; exit 1; }; sleep 0.05; done
}
runnel() {
	case $1 in
	serve) shift; serve "$@" ;;
	*) command runnel "$@" ;;
	esac
}
trap stop EXIT
`

func (c *documentedCommands) run(t *testing.T, script string) {
	t.Parallel()
	if c.needs != nil {
		c.needs(t)
	}
	address := unusedAddress(t)
	p := newTestDir(t)
	script = strings.NewReplacer(
		"go run ./cmd/runnel ", "runnel ", "go build -o runnel ./cmd/runnel", ":", "./runnel ", "runnel ",
		"/etc/runnel", "etc", "127.0.0.1:8003", address, "ca65c049", `"$(runnel token list | awk '$1 == "alice" { print substr($NF, 1, 8); exit }')"`,
	).Replace(script)
	x := p.start(t, "env", "RUNNEL_LISTEN="+address, "sh", "-u", "-c", servers+c.before+"\n"+script+c.after)
	stdout := x.readAll()
	x.expectExit(0)
	if !regexp.MustCompile(c.stdout).MatchString(stdout) {
		t.Errorf("stdout of\n%s\nis\n%swant %s\nstderr: %s", script, stdout, c.stdout, x.stderrText())
	}
	if text := x.stderrText(); text != "" && text != "oops\n" {
		t.Errorf("stderr: %s", text)
	}
}

func needOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		skipUnlessRequired(t, "openssl", "%v", err)
	}
}

func needSandbox(t *testing.T) {
	if can, err := canSandbox(); err != nil {
		t.Fatal(err)
	} else if !can {
		t.Skip("SKIPPED: the machine cannot enforce the profiles")
	}
}

// usedAddresses are the ports that unusedAddress has returned.
var usedAddresses sync.Map

// unusedAddress returns an address on loopback that no other test gets by asking for any port, since the
// port is below the range from which the kernel chooses (ip_local_port_range, ip(7)).
func unusedAddress(t *testing.T) string {
	t.Helper()
	for port := 20000 + os.Getpid()%1000*10; port < 32000; port++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			defer l.Close()
			if _, used := usedAddresses.LoadOrStore(port, true); !used {
				return l.Addr().String()
			}
		}
	}
	t.Fatal("no port is free")
	return ""
}
