package policy

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
)

// serverEnv is the environment of the server in these tests.
var serverEnv = []string{"PATH=/server/bin", "HOME=/root", "LANG=C", "LC_ALL=C", "SECRET=s", "LD_PRELOAD=/server.so", "PWD=/srv/work"}

// decide decides about params that are written in JSON, for the principal ci.
func decide(t *testing.T, p *Policy, text string) (*Decision, *session.Spec, error) {
	t.Helper()
	var params rpc.ExecuteParams
	if err := rpc.DecodeParams(json.RawMessage(text), &params, false); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	spec := &session.Spec{Grace: 2 * time.Second, StreamTimeout: 5 * time.Minute, Linger: 5 * time.Minute}
	spec.Keep = params.OnDisconnect == rpc.OnDisconnectKeep
	if params.PTY != nil || spec.Keep {
		spec.StreamTimeout = 0
	}
	spec.Timeout, spec.Grace = orElse(params.Timeout, 0), orElse(params.Grace, spec.Grace)
	spec.StreamTimeout, spec.Linger = orElse(params.StreamTimeout, spec.StreamTimeout), orElse(params.Linger, spec.Linger)
	spec.Program = process.Spec{Argv: params.Command.Argv, Dir: string(params.Cwd), Env: changed(serverEnv, params.Env)}
	if params.Traceparent != "" {
		spec.Program.Env = append(spec.Program.Env, "TRACEPARENT="+params.Traceparent)
		spec.TraceID = traceID
	}
	if l := params.Limits; l != nil && l.MemoryBytes != nil {
		spec.Program.Limits = process.Limits{process.MemoryBytes: *l.MemoryBytes}
	}
	d, err := p.Decide("ci", nil, &params, spec)
	return d, spec, err
}

func orElse(s rpc.Seconds, def time.Duration) time.Duration {
	if s.Set {
		return s.D
	}
	return def
}

// changed returns the environment as the server makes it without a policy.
func changed(env []string, change rpc.Env) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		_, ok := change[name]
		return ok
	})
	for name, value := range change {
		if value != nil {
			env = append(env, name+"="+*value)
		}
	}
	return env
}

// refused checks that an error is a refusal, and that the client gets nothing but the rule and the
// field.
func refused(t *testing.T, err error, rule, field string) {
	t.Helper()
	r, ok := errors.AsType[*Refusal](err)
	if !ok {
		t.Errorf("%v, want a refusal by %s", err, rule)
		return
	}
	reply, ok := errors.AsType[*rpc.Error](err)
	if r.Rule != rule || r.Field != field || !ok || reply.Code != rpc.CodeForbidden {
		t.Errorf("%v, %v, want %s of %s", err, reply, field, rule)
	}
	if text := reply.Error(); strings.Contains(text, r.Reason) {
		t.Errorf("the client gets %q", text)
	}
}

const commandPolicy = `
[principal.ci]
directories = ["/srv/work", "~/own"]
programs = [
  {path = "/usr/bin/git", args = ["status"]},
  {path = "/usr/bin/git", args = ["log", "--", "*..."]},
  {path = "/opt/tools/*"},
  {path = "/opt/café"},
]
`

func TestCommand(t *testing.T) {
	p := parse(t, commandPolicy)
	for _, command := range []string{
		`["git","status"]`, `["/usr/bin/git","status"]`, `["/bin/git","status"]`, `["git","log","--"]`, `["git","log","--","a","b"]`,
		`["/opt/tools/x","anything"]`, `[{"base64":"Z2l0"},{"base64":"c3RhdHVz"}]`, `["/opt/caf\u00e9"]`, `["/opt/café"]`,
	} {
		if _, _, err := decide(t, p, `{"command":`+command+`}`); err != nil {
			t.Errorf("%s: %v", command, err)
		}
	}
	for _, c := range []struct{ command, rule, field string }{
		{`"git status"`, "shell", "command"},
		{`{"base64":"Z2l0IHN0YXR1cw=="}`, "shell", "command"},
		{`["Git","status"]`, "programs", "command[0]"},
		{`["x"]`, "programs", "command[0]"}, // /opt/tools is not in PATH
		{`["/usr/bin/GIT","status"]`, "programs", "command[0]"},
		{`["git"]`, "programs", "command"},
		{`["git","push"]`, "programs", "command[1]"},
		{`["git","status","x"]`, "programs", "command[2]"},
		{`["git","log","--","-x"]`, "programs", "command[3]"},
		{`["git","log","--","a",{"base64":"LS1leGVjPXNo"}]`, "programs", "command[4]"},
		{`["git","-c","core.pager=sh","status"]`, "programs", "command[1]"},
		{`["/usr/bin/../bin/git","status"]`, "programs", "command[0]"},
		{`["/usr//bin/git","status"]`, "programs", "command[0]"},
		{`["/usr/bin/git/","status"]`, "programs", "command[0]"},
		{`["/usr/bin/git/.","status"]`, "programs", "command[0]"},
		{`["./git","status"]`, "programs", "command[0]"},
		{`["bin/git","status"]`, "programs", "command[0]"},
		{`["../usr/bin/git","status"]`, "programs", "command[0]"},
		{`["/proc/self/root/usr/bin/git","status"]`, "programs", "command[0]"},
		{`["/proc/self/cwd/git","status"]`, "programs", "command[0]"},
		{`["/tmp/git","status"]`, "programs", "command[0]"},
		{`["/opt/tools/sub/x"]`, "programs", "command[0]"},
		{`["/opt/tools/"]`, "programs", "command[0]"},
		{`["/opt/tools"]`, "programs", "command[0]"},
		{`["/opt/tools/.."]`, "programs", "command[0]"},
		{`["/opt/cafe\u0301"]`, "programs", "command[0]"}, // another normalization is another name
		{`["/bin/sh","-c","git status"]`, "programs", "command[0]"},
	} {
		_, _, err := decide(t, p, `{"command":`+c.command+`}`)
		t.Log(c.command)
		refused(t, err, "principal.ci."+c.rule, c.field)
	}
}

func TestNoSection(t *testing.T) {
	p := parse(t, "[principal.other]\nshell=true\ndirectories=['/']")
	_, _, err := decide(t, p, `{"command":"true"}`)
	refused(t, err, "default", "method")
	refused(t, p.Authorize("ci", nil, "status"), "default", "method")
	p = parse(t, "[default]\nmethods=['status']\nshell=true\ndirectories=['/']")
	_, _, err = decide(t, p, `{"command":"true"}`)
	refused(t, err, "default.methods", "method")
	refused(t, p.Authorize("ci", nil, "write"), "default.methods", "method")
	for _, method := range []string{"status", "rpc.discover", "ack", "$/cancelRequest"} {
		if err := p.Authorize("ci", nil, method); err != nil {
			t.Error(err)
		}
	}
	if _, ok := p.UIDs("ci", nil); ok {
		t.Error("ci may start sessions")
	}
}

func TestDirectory(t *testing.T) {
	p, err := Parse("f", []byte(`
[principal.ci]
shell = true
user = "build"
directories = ["/srv/work", "~/own"]
directory = "~/own"
`), Options{Account: accounts, Directory: "/srv"})
	if err != nil {
		t.Fatal(err)
	}
	for cwd, dir := range map[string]string{
		`"/srv/work"`: "/srv/work", `"/srv/work/"`: "/srv/work/", `"work"`: "work", `"/srv/work/a/../b"`: "/srv/work/a/../b",
		`"/home/build/own/x"`: "/home/build/own/x", `null`: "/home/build/own",
	} {
		_, spec, err := decide(t, p, `{"command":"true","cwd":`+cwd+`}`)
		if err != nil || spec.Program.Dir != dir {
			t.Errorf("%s: %q, %v", cwd, spec.Program.Dir, err)
		}
		if pwd := valueOf(spec.Program.Env, "PWD"); cwd == "null" && pwd != dir {
			t.Errorf("PWD=%s", pwd)
		}
	}
	for _, cwd := range []string{
		`"/srv"`, `"/srv/workX"`, `"/srv/work/.."`, `"/srv/work/../other"`, `"."`, `"other"`, `"/home/build"`, `"~/own"`, `"/"`,
		`"/proc/self/root/srv/work"`, `{"base64":"L2V0Yw=="}`, `"/SRV/work"`,
	} {
		_, _, err := decide(t, p, `{"command":"true","cwd":`+cwd+`}`)
		t.Log(cwd)
		refused(t, err, "principal.ci.directories", "cwd")
	}
	p = parse(t, "[principal.ci]\nshell=true\ndirectories=['~']")
	_, _, err = decide(t, p, `{"command":"true","cwd":"/home/build"}`)
	refused(t, err, "principal.ci.directories", "cwd") // without a user there is no home directory
}

func TestEnvironment(t *testing.T) {
	p := parse(t, `
[principal.ci]
shell = true
user = "deploy"
directories = ["/"]
[principal.ci.environment]
pass = ["LANG", "LC_*"]
accept = ["CI_*", "PS1", "EDITOR", "STAGE"]
deny = ["CI_SECRET", "LC_DENIED"]
set = {STAGE = "test", FIXED = "1"}
`)
	const base = "FIXED=1 HOME=/home/deploy LANG=C LC_ALL=C LOGNAME=deploy PATH=" + defaultPath + " PWD=/srv/work SHELL=/bin/sh STAGE=test USER=deploy"
	for env, want := range map[string]string{
		`null`:                       base,
		`{"CI_A":"b","EDITOR":"vi"}`: "CI_A=b EDITOR=vi " + base,
		`{"CI_A":"1","CI_A":"2"}`:    "CI_A=2 " + base, // the last one counts, once
		`{"STAGE":null}`:             strings.Replace(base, " STAGE=test", "", 1),
		`{"STAGE":"x"}`:              strings.Replace(base, "STAGE=test", "STAGE=x", 1),
		`{"CI_A":{"base64":"/w=="}}`: "CI_A=\xff " + base,
	} {
		_, spec, err := decide(t, p, `{"command":"true","env":`+env+`}`)
		if got := strings.Join(spec.Program.Env, " "); err != nil || got != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", env, err, got, want)
		}
	}
	for _, name := range []string{
		"LD_PRELOAD", "PATH", "Path", "FIXED", "CI_SECRET", "HOME", "PWD", "LANG", "ci_a", "CI", "BASH_ENV", "", "PATH ",
	} {
		for _, value := range []string{`"x"`, `null`, `{"base64":"eA=="}`} {
			_, _, err := decide(t, p, `{"command":"true","env":{"`+name+`":`+value+`}}`)
			refused(t, err, "principal.ci.environment", "env."+name)
		}
	}
}

// TestEnvironmentPattern: a pattern accepts no variable that is dangerous or that the policy sets.
func TestEnvironmentPattern(t *testing.T) {
	p := parse(t, `
[principal.ci]
shell = true
directories = ["/"]
environment = {accept = ["*", "LD_*", "PYTHONUNBUFFERED"], pass = ["*"], set = {A = "1"}}
`)
	_, spec, err := decide(t, p, `{"command":"true","env":{"B":"2","PYTHONUNBUFFERED":"1","SECRET":null}}`)
	want := "A=1 B=2 HOME=/root LANG=C LC_ALL=C LD_PRELOAD=/server.so PATH=" + defaultPath + " PWD=/srv/work PYTHONUNBUFFERED=1"
	if got := strings.Join(spec.Program.Env, " "); err != nil || got != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
	for _, name := range []string{
		"A", "PATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "LD_ANYTHING", "GCONV_PATH", "BASH_ENV", "ENV", "IFS", "PS4", "PYTHONPATH",
		"PERL5OPT", "NODE_OPTIONS", "GIT_SSH_COMMAND", "HOME", "SHELL", "EDITOR", "GLIBC_TUNABLES", "BASH_FUNC_ls%%", "TERMINFO",
	} {
		_, _, err := decide(t, p, `{"command":"true","env":{"`+name+`":"x"}}`)
		refused(t, err, "principal.ci.environment", "env."+name)
	}
}

// TestEnvironmentDrop: with drop, what is not accepted is left out.
func TestEnvironmentDrop(t *testing.T) {
	p := parse(t, "[principal.ci]\nshell=true\ndirectories=['/']\nenvironment={drop=true, accept=['A'], pass=['LANG']}")
	_, spec, err := decide(t, p, `{"command":"true","env":{"A":"1","LD_PRELOAD":"x","PATH":"/evil","LANG":"x"}}`)
	if got := strings.Join(spec.Program.Env, " "); err != nil || got != "A=1 PATH="+defaultPath+" PWD=/srv/work" {
		t.Errorf("%v, %s", err, got)
	}
}

const traceID = "4bf92f3577b34da6a3ce929d0e0e4736"

// TestTraceparent: a traceparent is accepted unless the policy denies or sets its variable. The trace
// id is kept only if it is accepted.
func TestTraceparent(t *testing.T) {
	const own = "00-" + traceID + "-00f067aa0ba902b7-01"
	const params = `{"command":"true","traceparent":"` + own + `"}`
	for environment, want := range map[string]string{
		"":               own,
		"pass = ['*']":   own,
		"accept = ['*']": own,
		"set = {TRACEPARENT = 'set'}, accept = ['TRACEPARENT']": own,
		"set = {TRACEPARENT = 'set'}, drop = true":              "set",
		"deny = ['TRACE*'], pass = ['*'], drop = true":          "",
		"deny = ['TRACEPARENT']":                                "refused",
		"deny = ['*'], accept = ['TRACEPARENT']":                "refused",
		"set = {TRACEPARENT = 'set'}, accept = ['*']":           "refused",
	} {
		p := parse(t, "[principal.ci]\nshell=true\ndirectories=['/']\nenvironment={"+environment+"}")
		_, spec, err := decide(t, p, params)
		if want == "refused" {
			refused(t, err, "principal.ci.environment", "traceparent")
		} else if got := valueOf(spec.Program.Env, "TRACEPARENT"); err != nil || got != want {
			t.Errorf("%s: %v, %q", environment, err, got)
		}
		if (spec.TraceID != "") != (want == own) {
			t.Errorf("%s: trace id %q", environment, spec.TraceID)
		}
	}
}

// TestTraceOfARefusal: an execute that is refused for another reason has the trace id, unless the policy
// does not accept it.
func TestTraceOfARefusal(t *testing.T) {
	for environment, want := range map[string]string{"": traceID, "deny = ['TRACEPARENT'], drop = true": ""} {
		p := parse(t, "[principal.ci]\ndirectories=['/']\nenvironment={"+environment+"}")
		_, spec, err := decide(t, p, `{"command":"true","traceparent":"00-`+traceID+`-00f067aa0ba902b7-01"}`)
		refused(t, err, "principal.ci.shell", "command")
		if spec.TraceID != want {
			t.Errorf("%s: trace id %q", environment, spec.TraceID)
		}
	}
}

// TestTraceparentVersion: of a later version, which may have any text, none is accepted.
func TestTraceparentVersion(t *testing.T) {
	for environment, want := range map[string]string{
		"":                             "refused",
		"pass = ['*'], accept = ['*']": "refused",
		"accept = ['TRACEPARENT']":     "refused",
		"pass = ['*'], drop = true":    "",
		"drop = true":                  "",
		"set = {TRACEPARENT = 'set'}, accept = ['TRACEPARENT'], drop = true": "set",
	} {
		p := parse(t, "[principal.ci]\nshell=true\ndirectories=['/']\nenvironment={"+environment+"}")
		for _, later := range []string{"01", "fe"} {
			for _, text := range []string{"", "-$(any,text)"} {
				own := later + "-" + traceID + "-00f067aa0ba902b7-01" + text
				_, spec, err := decide(t, p, `{"command":"true","traceparent":"`+own+`"}`)
				if want == "refused" {
					refused(t, err, "principal.ci.environment", "traceparent")
				} else if got := valueOf(spec.Program.Env, "TRACEPARENT"); err != nil || got != want {
					t.Errorf("%s, %s: %v, %q", environment, own, err, got)
				}
				if spec.TraceID != "" {
					t.Errorf("%s, %s: has the trace id", environment, own)
				}
			}
		}
	}
}

func TestTerminalName(t *testing.T) {
	p := parse(t, "[principal.ci]\nshell=true\ndirectories=['/']")
	for term, ok := range map[string]bool{
		"": true, "xterm-256color": true, "screen.xterm": true, "../../tmp/x": false, "/tmp/x": false, ".": false, "..": false, "x\\u0000": false,
		strings.Repeat("x", maxTerm+1): false,
	} {
		_, _, err := decide(t, p, `{"command":"true","pty":{"rows":1,"cols":1,"term":"`+term+`"}}`)
		if ok && err != nil {
			t.Errorf("%q: %v", term, err)
		} else if !ok {
			refused(t, err, "principal.ci.environment", "pty.term")
		}
	}
	p = parse(t, "[principal.ci]\nshell=true\ndirectories=['/']\nenvironment={accept=['*']}")
	if _, spec, err := decide(t, p, `{"command":"true","env":{"TERM":"dumb"}}`); err != nil || valueOf(spec.Program.Env, "TERM") != "dumb" {
		t.Error(err)
	}
	_, _, err := decide(t, p, `{"command":"true","env":{"TERM":"../x"}}`)
	refused(t, err, "principal.ci.environment", "env.TERM")
	p = parse(t, "[principal.ci]\nshell=true\ndirectories=['/']\nenvironment={accept=['*'],drop=true}")
	if _, spec, err := decide(t, p, `{"command":"true","env":{"TERM":"../x"}}`); err != nil || valueOf(spec.Program.Env, "TERM") != "" {
		t.Error(err, spec.Program.Env)
	}
}

// TestManyArguments: all arguments are compared, however many there are.
func TestManyArguments(t *testing.T) {
	p := parse(t, "[principal.ci]\ndirectories=['/']\nprograms=[{path='/bin/echo', args=['*...']}]")
	many := strings.Repeat(`"a",`, 100_000)
	if _, _, err := decide(t, p, `{"command":["echo",`+many+`"a"]}`); err != nil {
		t.Error(err)
	}
	_, _, err := decide(t, p, `{"command":["echo",`+many+`"-a"]}`)
	refused(t, err, "principal.ci.programs", "command[100001]")
}

func TestAmounts(t *testing.T) {
	p := parse(t, `
[principal.ci]
shell = true
directories = ["/"]
max = {memory_bytes = 1000, processes = 10, timeout = 60, stream_timeout = 30, linger = 20, grace = 5}
defaults = {memory_bytes = 500, open_files = 64, timeout = 10.5}
min_nice = 5
`)
	_, spec, err := decide(t, p, `{"command":"true"}`)
	if err != nil {
		t.Fatal(err)
	}
	limits := process.Limits{process.MemoryBytes: 500, process.Processes: 10, process.OpenFiles: 64}
	for name, want := range limits {
		if got := spec.Program.Limits[name]; got != want || len(spec.Program.Limits) != len(limits) {
			t.Errorf("%s is %d, want %d: %v", name, got, want, spec.Program.Limits)
		}
	}
	if spec.Timeout != 10500*time.Millisecond || spec.StreamTimeout != 30*time.Second || spec.Linger != 20*time.Second || spec.Grace != 2*time.Second {
		t.Errorf("%v, %v, %v, %v", spec.Timeout, spec.StreamTimeout, spec.Linger, spec.Grace)
	}
	if n := spec.Program.Attributes.Nice; ownNice() < 5 && (n == nil || *n != 5) {
		t.Errorf("nice %v", n)
	}
	_, spec, err = decide(t, p, `{"command":"true","pty":{"rows":1,"cols":1},"limits":{"memory_bytes":1000},"timeout":60,"grace":0,"nice":5}`)
	if err != nil || spec.Program.Limits[process.MemoryBytes] != 1000 || spec.StreamTimeout != 30*time.Second || spec.Grace != 0 {
		t.Errorf("%v, %+v", err, spec)
	}
	for params, at := range map[string][2]string{
		`"limits":{"memory_bytes":1001}`: {"max.memory_bytes", "limits.memory_bytes"},
		`"timeout":60.1`:                 {"max.timeout", "timeout"},
		`"timeout":0`:                    {"max.timeout", "timeout"},
		`"timeout":null`:                 {"max.timeout", "timeout"},
		`"stream_timeout":null`:          {"max.stream_timeout", "stream_timeout"},
		`"linger":0`:                     {"max.linger", "linger"},
		`"grace":6`:                      {"max.grace", "grace"},
		`"nice":4`:                       {"min_nice", "nice"},
		`"nice":-20`:                     {"min_nice", "nice"},
	} {
		_, _, err := decide(t, p, `{"command":"true",`+params+`}`)
		refused(t, err, "principal.ci."+at[0], at[1])
	}
}

func TestUser(t *testing.T) {
	p := parse(t, "[principal.ci]\nshell=true\ndirectories=['/']\nuser='deploy'\nusers=['build','deploy']\nset_user_id_programs=true")
	for params, uid := range map[string]uint32{``: 54321, `,"user":"deploy"`: 54321, `,"user":"build"`: 54322, `,"user":"54322"`: 54322} {
		d, spec, err := decide(t, p, `{"command":"true"`+params+`}`)
		if err != nil || spec.Program.User == nil || spec.Program.User.UID != uid || spec.Program.Attributes.NoNewPrivileges {
			t.Errorf("%s: %v, %+v", params, err, spec.Program.User)
			continue
		}
		if user := valueOf(spec.Program.Env, "USER"); user != d.Account.Name {
			t.Errorf("%s: USER=%s, %+v", params, user, d.Account)
		}
	}
	for _, user := range []string{"root", "0", "054322", " build", "Build", "54323", "-1", "54322 "} {
		_, _, err := decide(t, p, `{"command":"true","user":"`+user+`"}`)
		refused(t, err, "principal.ci.users", "user")
	}
	if uids, ok := p.UIDs("ci", nil); !ok || !slices.Equal(uids, []int{54321, 54322}) {
		t.Errorf("%v, %v", uids, ok)
	}
	p = parse(t, "[principal.ci]\nshell=true\ndirectories=['/']")
	_, _, err := decide(t, p, `{"command":"true","user":"build"}`)
	refused(t, err, "principal.ci.users", "user")
	if uids, ok := p.UIDs("ci", nil); !ok || !slices.Equal(uids, []int{-1}) {
		t.Errorf("%v, %v", uids, ok)
	}
	if uids, ok := p.UIDs("other", nil); ok {
		t.Errorf("%v", uids)
	}
}
