package main

import (
	"strings"
	"testing"
)

// TestSandboxCheckText: a reason that several parts have in common is printed once.
func TestSandboxCheckText(t *testing.T) {
	t.Parallel()
	r := &sandboxCheck{
		Profiles: []profileCheck{{Name: "a", Field: "tmp", Why: "no bwrap; no mounts"}, {Name: "b", Enforceable: true}, {Name: "c", Why: "wrong"}},
		Parts:    []partCheck{{Part: "files", By: "landlock"}, {Part: "allow", Why: "no bwrap; no network"}, {Part: "tmp", Why: "no bwrap; no mounts"}, {Part: "metadata", By: "seccomp", Why: "if read-only"}},
		Machine:  machine{System: "Linux 1", OnlyLinux: true},

		NoNamespaces: "no bwrap: /b cannot be opened",
		Findings:     []finding{{Problem: "P.", Remedy: "one\n\n  two"}, {Problem: "Q.", Remedy: "three", Optional: true}},
	}
	const want = `PROFILE  ENFORCED
a        no: tmp: no mounts
b        yes
c        no: wrong

PART      ENFORCED BY
files     landlock
allow     nothing: no network
tmp       nothing: no mounts
metadata  seccomp, not always: if read-only

Without namespaces there can be sandboxes with processes shared, tmp shared,
and metadata full if anything is writable.

No namespaces: no bwrap: /b cannot be opened

Linux 1, user 0

To change: P.
  one

    two

Optional: Q.
  three
`
	expect := func(want string) {
		t.Helper()
		var b strings.Builder
		if err := r.print(&b, false); err != nil || b.String() != want {
			t.Errorf("%v\n%s\nwant\n%s", err, b.String(), want)
		}
	}
	expect(want)
	r.Parts[2].Why = "no mounts"
	expect(strings.NewReplacer("no mounts\nb", "no bwrap; no mounts\nb", "no network", "no bwrap; no network").Replace(want))
}
