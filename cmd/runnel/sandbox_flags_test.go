package main

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/rpc"
)

func TestSandboxParam(t *testing.T) {
	t.Parallel()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	profile := func(name string) *string { return &name }
	for _, c := range []struct {
		flags sandboxFlags
		want  string
	}{
		{sandboxFlags{}, `null`},
		{sandboxFlags{Verbose: true}, `null`},
		{sandboxFlags{Sandbox: profile("off")}, `"off"`},
		{sandboxFlags{Sandbox: profile("build"), NoNet: true}, `{"profile":"build","network":"none"}`},
		{sandboxFlags{NoNet: true}, `{"files":[{"path":".","access":"write"}],"network":"none"}`},
		{sandboxFlags{AllowNet: []string{"*.example.org:443", "[::1]:80"}},
			`{"files":[{"path":".","access":"write"}],"network":{"allow":["*.example.org:443","[::1]:80"]}}`},
		{sandboxFlags{Sandbox: profile("read-only"), AllowWrite: []string{"/a/../b", "c"}, AllowRead: []string{"~/x", "~y", "~"}, Deny: []string{"/d/"}},
			`{"profile":"read-only","files":[{"path":"~/x","access":"read"},{"path":"HERE/~y","access":"read"},{"path":"~","access":"read"},` +
				`{"path":"/b","access":"write"},{"path":"HERE/c","access":"write"},{"path":"/d","access":"none"}]}`},
		// The rule for the working directory of a flag counts.
		{sandboxFlags{AllowRead: []string{"/work"}}, `{"files":[{"path":"/work","access":"read"}]}`},
		// The /tmp of the machine is meant, and not one of the sandbox.
		{sandboxFlags{Sandbox: profile("workspace"), AllowWrite: []string{"/tmp"}},
			`{"profile":"workspace","files":[{"path":"/tmp","access":"write"}],"tmp":"shared"}`},
		{sandboxFlags{Sandbox: profile("workspace"), AllowWrite: []string{"/tmp/x"}},
			`{"profile":"workspace","files":[{"path":"/tmp/x","access":"write"}]}`},
		{sandboxFlags{Sandbox: profile("workspace"), AllowWrite: []string{"/tmp"}, Tmp: profile("private")},
			`{"profile":"workspace","files":[{"path":"/tmp","access":"write"}],"tmp":"private"}`},
		{sandboxFlags{FilesDefault: profile("none"), AllowRead: []string{"/usr"}},
			`{"files":[{"path":"/usr","access":"read"},{"path":".","access":"write"}],"files_default":"none"}`},
		{sandboxFlags{Processes: profile("shared"), Tmp: profile("shared"), UnixSockets: profile("none"), Metadata: profile("full")},
			`{"files":[{"path":".","access":"write"}],"processes":"shared","tmp":"shared","unix_sockets":"none","metadata":"full"}`},
	} {
		if err := c.flags.check(); err != nil {
			t.Errorf("%+v: %v", c.flags, err)
		}
		p, err := c.flags.param("/work")
		text, _ := json.Marshal(p)
		if want := strings.ReplaceAll(c.want, "HERE", here); err != nil || string(text) != want {
			t.Errorf("%+v:\n%s, %v, want\n%s", c.flags, text, err, want)
		}
	}
}

// TestSandboxFlagsRefused: a value that could be that of an unset variable does not mean less than it
// should, and what contradicts itself is not decided.
func TestSandboxFlagsRefused(t *testing.T) {
	t.Parallel()
	empty := ""
	for want, flags := range map[string]sandboxFlags{
		"--sandbox must not be empty":                         {Sandbox: &empty},
		"--deny must not be empty":                            {Deny: []string{"/a", ""}},
		"--allow-write must not be empty":                     {AllowWrite: []string{""}},
		"--no-net excludes --allow-net":                       {NoNet: true, AllowNet: []string{"a:1"}},
		`--allow-net "a" must be HOST:PORT`:                   {AllowNet: []string{"b:1", "a"}},
		`--allow-net "https://a:443" must be HOST:PORT`:       {AllowNet: []string{"https://a:443"}},
		"--deny /a: --allow-write /b/../a has the same path":  {Deny: []string{"/a"}, AllowWrite: []string{"/b/../a"}},
		"--allow-read ./a: --allow-read a has the same path":  {AllowRead: []string{"a", "./a"}},
		"--allow-write /a/: --allow-read /a has the same pat": {AllowRead: []string{"/a"}, AllowWrite: []string{"/a/"}},
	} {
		err := flags.check()
		if err == nil {
			_, err = flags.param("/work")
		}
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", flags, err, want)
		}
	}
}

// TestSandboxErrors: an error of the server names the flag, and not the field that was made of it.
func TestSandboxErrors(t *testing.T) {
	t.Parallel()
	build := "build"
	flags := sandboxFlags{Sandbox: &build, AllowRead: []string{"/a"}, Deny: []string{"/b"}, AllowWrite: []string{"/var/tmp"}, AllowNet: []string{"a:1", "b:1"}}
	implicit := sandboxFlags{NoNet: true}
	own, full, read := "own", "full", "read"
	chosen := sandboxFlags{Sandbox: &build, Processes: &own, UnixSockets: &full}
	invalid := func(field, text string) *rpc.Error { return rpc.InvalidParams(field, "%s %s", field, text) }
	unknown := invalid("sandbox.profile", "is unknown")
	unknown.Data.(rpc.Data)["known"] = []any{"off", "workspace"}
	for _, c := range []struct {
		flags sandboxFlags
		err   *rpc.Error
		local bool
		want  string
	}{
		{flags, invalid("sandbox.files[2]", "cannot be used: ENOENT"), true, "--deny /b cannot be used: ENOENT"},
		{flags, invalid("sandbox.files[0].path", "is there twice"), true, "--allow-read /a is there twice"},
		{flags, invalid("sandbox.files[9]", "is wrong"), true, "--sandbox build is wrong"},
		{flags, invalid("sandbox.network.allow[1]", "asks for more"), true, "--allow-net b:1 asks for more"},
		{flags, invalid("sandbox.network", "asks for more"), true, "--allow-net asks for more"},
		{flags, invalid("sandbox.tmp", "asks for more"), true, "--allow-write /var/tmp asks for more"},
		{flags, unknown, true, "--sandbox build is unknown; it has off, workspace"},
		{flags, invalid("sandbox", "is an unknown field"), false, "--sandbox build: the server does not know sandboxes: its version is too old"},
		{flags, rpc.NotEnforceable("sandbox.network", "no bwrap"), true, `--allow-net cannot be enforced on this machine: no bwrap; see "runnel sandbox check"`},
		{flags, rpc.NotEnforceable("sandbox.profile", "no bwrap"), false, `--sandbox build cannot be enforced on this machine: no bwrap; see "runnel sandbox check" on the machine of the server`},
		{flags, rpc.Forbidden("default.sandbox", "sandbox.profile"), false, "--sandbox build: Forbidden: default.sandbox does not permit this sandbox.profile"},
		{chosen, rpc.NotEnforceable("sandbox.processes", "no bwrap"), true,
			`--processes own cannot be enforced on this machine: no bwrap; use --processes shared, or see "runnel sandbox check"`},
		{chosen, rpc.NotEnforceable("sandbox.unix_sockets", "no bwrap"), true,
			`--unix-sockets full cannot be enforced on this machine: no bwrap; see "runnel sandbox check"`},
		{chosen, rpc.NotEnforceable("sandbox.metadata", "no bwrap"), false,
			`--sandbox build: metadata cannot be enforced on this machine: no bwrap; use --metadata full, or see "runnel sandbox check" on the machine of the server`},
		{sandboxFlags{FilesDefault: &read}, invalid("sandbox.files_default", "asks for more"), true, "--files-default read asks for more"},
		{chosen, invalid("sandbox.unix_sockets", "asks for more"), true, "--unix-sockets full asks for more"},
		{implicit, rpc.NotEnforceable("sandbox.tmp", "no bwrap"), true,
			`the sandbox (by default the working directory is writable): tmp cannot be enforced on this machine: no bwrap; use --tmp shared, or see "runnel sandbox check"`},
		{implicit, invalid("sandbox.network", "is wrong"), true, "--no-net is wrong"},
		{implicit, invalid("sandbox.files[0].path", "must not be /tmp"), true,
			"the working directory (writable without --sandbox) must not be /tmp; use --sandbox read-only, or --allow-write PATH"},
		{implicit, rpc.NotEnforceable("sandbox.files[0]", "no bwrap"), true,
			`the working directory (writable without --sandbox) cannot be enforced on this machine: no bwrap; see "runnel sandbox check"`},
	} {
		err := c.flags.explain(&statusError{exitNotFound, c.err}, c.local)
		if s, ok := errors.AsType[*statusError](err); !ok || s.status != exitRunnelFailed || err.Error() != c.want {
			t.Errorf("%v: %v, want %s", c.err, err, c.want)
		}
	}
	for _, other := range []error{nil, invalid("sandboxed", "is wrong"), invalid("limits.processes", "is wrong"), errors.New("x")} {
		if got := flags.explain(other, true); got != other {
			t.Errorf("%v: %v", other, got)
		}
	}
	none := sandboxFlags{}
	if err := invalid("sandbox", "that the server requires cannot be made"); none.explain(err, false) != error(err) {
		t.Error("an error without a flag was changed")
	}
}
