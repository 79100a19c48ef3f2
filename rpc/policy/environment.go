package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/tomlfile"
	"github.com/runnel-rpc/runnel/rpc/wire"
)

// defaultPath is the PATH of commands unless the policy sets one.
const defaultPath = "/usr/local/bin:/usr/bin:/bin"

// environment is what a section permits in the environment of commands.
type environment struct {
	pass   []string          // names and patterns of the server's environment
	accept []string          // names and patterns of the request
	deny   []string          // names and patterns that neither of them passes
	set    map[string]string // PATH is always set
	drop   bool              // what the request may not set is left out, not refused
}

func (c *compiler) environment(s *section, text *environmentText) {
	key := s.rule("environment")
	for name, list := range map[string][]string{"pass": text.Pass, "accept": text.Accept, "deny": text.Deny} {
		if len(list) > maxEntries {
			c.bad(key+"."+name, fmt.Errorf("at most %d elements, not %d", maxEntries, len(list)))
		}
		for i, pattern := range list {
			if err := validVariable(strings.TrimSuffix(pattern, "*"), pattern != "" && strings.HasSuffix(pattern, "*")); err != nil {
				c.bad(fmt.Sprintf("%s.%s[%d]", key, name, i), err)
			}
		}
	}
	set := map[string]string{"PATH": defaultPath}
	if len(text.Set) > maxEntries {
		c.bad(key+".set", fmt.Errorf("at most %d variables, not %d", maxEntries, len(text.Set)))
	}
	for _, name := range sortedKeys(text.Set) {
		at := key + ".set." + tomlfile.QuoteKey(name)
		if err := validVariable(name, false); err != nil {
			c.bad(at, err)
		}
		if strings.IndexByte(text.Set[name], 0) >= 0 {
			c.bad(at, errors.New("must not contain NUL"))
		}
		set[name] = text.Set[name]
	}
	for dir := range strings.SplitSeq(set["PATH"], ":") {
		if !strings.HasPrefix(dir, "/") {
			c.bad(key+".set.PATH", fmt.Errorf("%q must be absolute: every directory of PATH", dir))
		}
	}
	s.env = environment{pass: text.Pass, accept: text.Accept, deny: text.Deny, set: set, drop: text.Drop}
}

// validVariable returns an error unless name can be that of a variable; as the beginning of one it
// may be empty.
func validVariable(name string, prefix bool) error {
	switch {
	case name == "" && !prefix:
		return errors.New("the name of a variable must not be empty")
	case strings.ContainsAny(name, "=\x00"):
		return fmt.Errorf("%q must not contain = or NUL", name)
	case strings.Contains(name, "*"):
		return fmt.Errorf("%q may have one * and only at its end", name)
	}
	return nil
}

// matches reports whether a list has a name itself, or a pattern of it: a prefix and a star.
func matches(list []string, name string) (exactly, byPattern bool) {
	for _, pattern := range list {
		prefix, ok := strings.CutSuffix(pattern, "*")
		exactly = exactly || !ok && pattern == name
		byPattern = byPattern || ok && strings.HasPrefix(name, prefix)
	}
	return exactly, byPattern
}

// dangerous are names, and prefixes with a star, of variables by which a command can be made to
// load or execute other files, or which the policy itself sets. A request may set them only if the
// policy names them exactly. No such list is complete.
var dangerous = []string{
	"PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "OLDPWD", "TMPDIR",
	// ld.so(8), the C library
	"LD_*", "DYLD_*", "GCONV_PATH", "GETCONF_DIR", "GLIBC_TUNABLES", "HOSTALIASES", "LOCALDOMAIN", "LOCPATH",
	"MALLOC_*", "NIS_PATH", "NLSPATH", "RESOLV_HOST_CONF", "RES_OPTIONS", "TZDIR",
	// terminals
	"TERMCAP", "TERMINFO", "TERMINFO_DIRS", "TERMPATH",
	// shells
	"BASHOPTS", "BASH_*", "CDPATH", "ENV", "FPATH", "GLOBIGNORE", "IFS", "KSH_*", "POSIXLY_CORRECT", "PROMPT_COMMAND", "PS4",
	"SHELLOPTS", "ZDOTDIR",
	// interpreters
	"CLASSPATH", "GEM_*", "JAVA_*", "JDK_JAVA_OPTIONS", "LUA_*", "NODE_*", "PERL*", "PHPRC", "PHP_*", "PYTHON*", "RUBY*",
	"TCLLIBPATH", "_JAVA_OPTIONS",
	// what programs start
	"BROWSER", "EDITOR", "GIT_*", "LESSCLOSE", "LESSOPEN", "MAKEFILES", "MAKEFLAGS", "MANPAGER", "PAGER", "RSYNC_RSH", "SSH_*",
	"SUDO_*", "SYSTEMD_*", "VISUAL",
}

func isDangerous(name string) bool {
	exactly, byPattern := matches(dangerous, name)
	return exactly || byPattern
}

// accepts reports whether a request may set or unset a variable. fixed are the names that the
// policy sets for this session.
func (e *environment) accepts(name string, fixed map[string]string) bool {
	if exactly, byPattern := matches(e.deny, name); exactly || byPattern {
		return false
	}
	exactly, byPattern := matches(e.accept, name)
	_, isFixed := fixed[name]
	return exactly || byPattern && !isFixed && !isDangerous(name)
}

// refusesTrace returns why a request may not have a valid traceparent, or "". It need not be in
// accept, since version 00 consists of identifiers only, which have no effect on what a program does.
// Later versions may have any text, and are never accepted.
func (e *environment) refusesTrace(traceparent string, fixed map[string]string) string {
	_, isFixed := fixed[rpc.TraceparentVariable]
	exactly, byPattern := matches(e.deny, rpc.TraceparentVariable)
	switch {
	case exactly, byPattern, isFixed && !e.accepts(rpc.TraceparentVariable, fixed):
		return "the policy denies or sets " + rpc.TraceparentVariable
	case !strings.HasPrefix(traceparent, "00-"):
		return "with a policy the version must be 00"
	}
	return ""
}

// passes reports whether a variable of the server's environment passes.
func (e *environment) passes(name string) bool {
	if exactly, byPattern := matches(e.deny, name); exactly || byPattern {
		return false
	}
	exactly, byPattern := matches(e.pass, name)
	return exactly || byPattern
}

// environ returns the environment of a command: what passes of that of the server, what the policy
// and the account set, and what it accepts of the request. full is the environment without a
// policy. PWD is that of full, unless the request changes it.
func (s *section) environ(full []string, params *rpc.ExecuteParams, account *process.Account) ([]string, error) {
	fixed, change := s.variables(account), params.Env
	all := map[string]string{}
	for _, v := range full {
		name, value, _ := strings.Cut(v, "=")
		_, changed := change[name]
		changed = changed || name == rpc.TraceparentVariable && params.Traceparent != "" // see below
		if _, twice := all[name]; !changed && !twice && (name == "PWD" || s.env.passes(name)) {
			all[name] = value
		}
	}
	for name, value := range fixed {
		all[name] = value
	}
	for _, name := range sortedKeys(change) {
		switch value := change[name]; {
		case !s.env.accepts(name, fixed), name == "TERM" && value != nil && !validTerm(*value):
			if !s.env.drop {
				return nil, s.refuse("environment", "env."+wire.Clip(name, 128), "the request sets %q", name)
			}
		case value == nil:
			delete(all, name)
		default:
			all[name] = *value
		}
	}
	if params.Traceparent != "" {
		switch why := s.env.refusesTrace(params.Traceparent, fixed); {
		case why == "":
			all[rpc.TraceparentVariable] = params.Traceparent
		case !s.env.drop:
			return nil, s.refuse("environment", "traceparent", "%s", why)
		}
	}
	env := make([]string, 0, len(all))
	for name, value := range all {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env, nil
}

// variables returns what the section and the account of a command set.
func (s *section) variables(account *process.Account) map[string]string {
	if account == nil {
		return s.env.set
	}
	all := map[string]string{"USER": account.Name, "LOGNAME": account.Name, "HOME": cmp.Or(account.Home, "/"), "SHELL": cmp.Or(account.Shell, "/bin/sh")}
	for name, value := range s.env.set {
		all[name] = value
	}
	return all
}
