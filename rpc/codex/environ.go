package codex

import (
	"path"
	"strings"
)

// envPolicy says which variables of the server's environment a command gets.
type envPolicy struct {
	Inherit               string            `json:"inherit"` // inheritAll, inheritCore or inheritNone
	IgnoreDefaultExcludes bool              `json:"ignoreDefaultExcludes"`
	Exclude               []string          `json:"exclude"`
	Set                   map[string]string `json:"set"`
	IncludeOnly           []string          `json:"includeOnly"`
}

// The values of envPolicy.Inherit.
const (
	inheritAll  = "all"
	inheritCore = "core"
	inheritNone = "none"
)

// coreVariables are those of inheritCore.
var coreVariables = map[string]bool{
	"HOME": true, "LOGNAME": true, "PATH": true, "SHELL": true, "USER": true, "USERNAME": true,
	"TMPDIR": true, "TEMP": true, "TMP": true,
}

// defaultExcludes are the patterns of variables that usually are secrets.
var defaultExcludes = []string{"*KEY*", "*SECRET*", "*TOKEN*"}

// maxPatterns bounds the patterns of a policy, all of which each variable is compared with.
const maxPatterns = 256

// environment returns the environment of a command: what the policy makes of the server's, and own,
// which wins. Without a policy it is own alone.
func environment(server []string, p *envPolicy, own map[string]string) (map[string]string, error) {
	env := make(map[string]string, len(server)+len(own))
	if p != nil {
		if err := p.check(); err != nil {
			return nil, err
		}
		p.apply(server, env)
	}
	for name, value := range own {
		env[name] = value
	}
	return env, nil
}

func (p *envPolicy) check() error {
	switch p.Inherit {
	case inheritAll, inheritCore, inheritNone:
	default:
		return invalidParams("envPolicy.inherit must be all, core or none")
	}
	if len(p.Exclude)+len(p.IncludeOnly) > maxPatterns {
		return invalidParams("envPolicy has more than %d patterns", maxPatterns)
	}
	return nil
}

// apply adds the variables of the server to env that the policy permits, in the order of Codex: inherit,
// the excludes, set, includeOnly.
func (p *envPolicy) apply(server []string, env map[string]string) {
	exclude := p.Exclude
	if !p.IgnoreDefaultExcludes {
		exclude = append(append([]string{}, defaultExcludes...), exclude...)
	}
	for _, variable := range server {
		name, value, _ := strings.Cut(variable, "=")
		inherited := p.Inherit == inheritAll || p.Inherit == inheritCore && coreVariables[name]
		if inherited && !matchesAny(exclude, name) {
			env[name] = value
		}
	}
	for name, value := range p.Set {
		env[name] = value
	}
	for name := range env {
		if len(p.IncludeOnly) > 0 && !matchesAny(p.IncludeOnly, name) {
			delete(env, name)
		}
	}
}

// matchesAny reports whether a name matches one of the patterns, in any case: * is any text, ? any
// character.
func matchesAny(patterns []string, name string) bool {
	name = strings.ToUpper(name)
	for _, pattern := range patterns {
		pattern = strings.NewReplacer("[", `\[`, `\`, `\\`).Replace(strings.ToUpper(pattern))
		if ok, _ := path.Match(pattern, strings.ReplaceAll(name, "/", "_")); ok {
			return true
		}
	}
	return false
}

// changes returns how env differs from the environment of the server, as an execute has it.
func changes(server []string, env map[string]string) map[string]*string {
	change := make(map[string]*string)
	same := make(map[string]bool)
	for _, variable := range server {
		name, value, _ := strings.Cut(variable, "=")
		if own, ok := env[name]; !ok {
			change[name] = nil
		} else if own == value {
			same[name] = true
		}
	}
	for name, value := range env {
		if !same[name] {
			change[name] = &value
		}
	}
	delete(change, "PWD") // it is the directory of the command
	return change
}
