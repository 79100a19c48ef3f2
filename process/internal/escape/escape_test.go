//go:build linux

package escape

import (
	"bufio"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/proctest"
)

// nobody has no account, and nothing else runs as it.
const nobody = 65527

// users returns the users that commands run as, by name.
func users() map[string]int {
	if uid := os.Geteuid(); uid != 0 {
		return map[string]int{"user": uid}
	}
	return map[string]int{"root": 0, "user": nobody}
}

// TestEscape makes each attempt without a sandbox, where it succeeds, and then in each jail that
// promises to refuse it.
func TestEscape(t *testing.T) {
	available := availableJails(t)
	for _, a := range attempts() {
		jails := slices.DeleteFunc(slices.Clone(available), func(j jail) bool { return !j.supports(a.part) })
		for name, uid := range users() {
			if len(jails) == 0 || !a.madeBy(uid) {
				continue
			}
			t.Run(a.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				if !a.inside {
					if out, ok := a.escapes(t, plain, uid); !ok {
						skip(t, a, out)
					}
				}
				for _, j := range jails {
					t.Run(j.name, func(t *testing.T) { a.refused(t, j, uid) })
				}
			})
		}
	}
}

// TestNames checks that no two attempts have the same name.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range attempts() {
		if seen[a.name] || strings.Contains(a.name, "/") {
			t.Errorf("the name %q is not usable", a.name)
		}
		seen[a.name] = true
	}
}

// availableJails returns the jails of this machine.
func availableJails(t *testing.T) (list []jail) {
	t.Helper()
	if raceDetector {
		t.Skip("SKIPPED: the commands are this program, which the race detector makes too slow")
	}
	for _, j := range jails {
		if why := j.unavailable(); why != "" {
			if slices.ContainsFunc(j.needs, func(what string) bool { return !proctest.Required(what) }) {
				t.Logf("no jail %q: %s", j.name, why)
			} else {
				t.Errorf("the jail %q is required: %s", j.name, why)
			}
			continue
		}
		list = append(list, j)
	}
	if len(list) == 0 {
		t.Skip("SKIPPED: this machine has no mechanism of a sandbox")
	}
	return list
}

// skip skips an attempt that fails without a sandbox, which is a failure unless machines may lack what
// it needs.
func skip(t *testing.T, a attempt, out string) {
	t.Helper()
	if a.maybe == "" {
		t.Fatalf("it fails without a sandbox, too: %s", out)
	}
	t.Skipf("SKIPPED: no %s: %s", a.maybe, out)
}

// madeBy reports whether the attempt is made by a user: the test's one, unless that is root. Root
// then makes those that need root, or all with RUNNEL_TEST_FULL=1.
func (a *attempt) madeBy(uid int) bool {
	switch {
	case uid == 0:
		return a.root || !a.user && os.Getenv("RUNNEL_TEST_FULL") != ""
	case os.Geteuid() != 0:
		return !a.root && !a.user
	}
	return !a.root
}

// refused checks that the attempt fails in a jail.
func (a *attempt) refused(t *testing.T, j jail, uid int) {
	start := time.Now()
	out, escaped := a.escapes(t, j, uid)
	switch {
	case escaped:
		t.Errorf("it succeeds: %s", out)
	case a.mayRefuse && strings.Contains(out, startFailed):
	case !strings.Contains(out, "escape: refused: ") && !done(nil, out) && !a.ownProgram:
		t.Errorf("it was not made: %s", out)
	}
	t.Logf("%v: %s", time.Since(start).Round(time.Millisecond), strings.TrimSpace(out))
}

// escapes makes the attempt in a jail, and reports whether it succeeds.
func (a *attempt) escapes(t *testing.T, j jail, uid int) (out string, escaped bool) {
	t.Helper()
	w := newWorld(t, uid, j.supports(nested))
	if a.rules != nil {
		a.rules(w)
	}
	if a.prepare != nil {
		a.prepare(t, w)
	}
	name := program
	if a.ownProgram {
		name = w.Readable + "/program"
		if err := errors.Join(copySelf(name, 0o755), w.own(name)); err != nil {
			t.Fatal(err)
		}
	}
	c := command{argv: []string{name, attemptMode, a.name}, env: []string{w.env(t)}, terminal: a.terminal}
	if a.variables != nil {
		c.env = append(c.env, a.variables(w)...)
	}
	r := j.start(t, w, c)
	out = a.follow(t, w, r)
	if a.escaped != nil {
		return out, a.escaped(w, out)
	}
	return out, done(w, out)
}

// follow lets a command run to its end.
func (a *attempt) follow(t *testing.T, w *world, r *running) string {
	reader := bufio.NewReader(r.stdout)
	var out strings.Builder
	for a.during != nil {
		line, err := reader.ReadString('\n')
		if strings.TrimSpace(line) == ready {
			a.during(t, w)
			_, _ = io.WriteString(r.stdin, "go\n")
			break
		}
		out.WriteString(line)
		if err != nil {
			break
		}
	}
	rest, _ := io.ReadAll(reader)
	r.end()
	return out.String() + string(rest)
}

// jails are the restrictions under which attempts have to fail: those of package process, and bwrap on
// a machine without Landlock.
var jails = []jail{
	bySpec("landlock", noBubblewrap, []string{"landlock"}, append(byLandlock, server)...),
	bySpec("bubblewrap+landlock", "", []string{"bubblewrap", "landlock"},
		append(byNamespaces, nestedParent, replaced, server, pipes, holder, machine, allowList)...),
	assembled("bubblewrap", restriction{Inside: true}, byNamespaces...),
}

// What each mechanism promises. Mounts do not refuse to write to a FIFO.
var (
	byLandlock   = []part{files, pipes, replaced, replacedDir, network, sockets}
	byNamespaces = []part{files, nested, devices, metadata, processes, network, sockets, ipc}
)
