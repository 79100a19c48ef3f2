//go:build linux

package escape

import (
	"slices"
	"testing"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// readOnlyAlone is Landlock alone for a command that may write to nothing: then the filter refuses the
// calls that Landlock has no right for.
var readOnlyAlone = jail{
	name: "landlock, nothing writable",
	start: func(t testing.TB, w *world, c command) *running {
		w.config.Processes = sandbox.Shared
		for i := range w.config.Files {
			if w.config.Files[i].Access == sandbox.Write {
				w.config.Files[i].Access = sandbox.Read
			}
		}
		return startSpec(t, w, c, noBubblewrap)
	},
}

// TestMetadataAlone makes the attempts that Landlock alone does not stop: they fail only where nothing
// is writable. Elsewhere they succeed, so that such a sandbox has to ask for it.
func TestMetadataAlone(t *testing.T) {
	alone := jails[0]
	if !slices.ContainsFunc(availableJails(t), func(j jail) bool { return j.name == alone.name }) {
		t.Skip("SKIPPED: no Landlock")
	}
	for _, a := range metadataAttempts() {
		for name, uid := range users() {
			if a.part != metadata || !a.madeBy(uid) {
				continue
			}
			t.Run(a.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				if out, ok := a.escapes(t, plain, uid); !ok {
					skip(t, a, out)
				}
				a.refused(t, readOnlyAlone, uid)
				if out, ok := a.escapes(t, alone, uid); !ok && !a.root { // root has no capabilities
					t.Errorf("it fails where something is writable, which docs/sandbox.md denies: %s", out)
				}
			})
		}
	}
}
