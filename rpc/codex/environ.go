package codex

import "strings"

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

// environment returns the environment of a command: what the policy makes of the server's, and own,
// which wins. Without a policy it is own alone.
func environment(server []string, p *envPolicy, own map[string]string) (map[string]string, error) {
	env := make(map[string]string, len(server)+len(own))
	if p != nil {
		if err := p.check(); err != nil {
			return nil, err
		}
		if err := p.apply(server, env); err != nil {
			return nil, err
		}
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
	for _, pattern := range append(p.Exclude[:len(p.Exclude):len(p.Exclude)], p.IncludeOnly...) {
		if len(pattern) > maxPatternBytes {
			return invalidParams("a pattern of envPolicy has more than %d bytes", maxPatternBytes)
		}
	}
	if len(p.Set) > maxSetVariables {
		return invalidParams("envPolicy.set has more than %d variables", maxSetVariables)
	}
	return nil
}

// apply adds the variables of the server to env that the policy permits, in the order of Codex: inherit,
// the excludes, set, includeOnly.
func (p *envPolicy) apply(server []string, env map[string]string) error {
	exclude := p.Exclude
	if !p.IgnoreDefaultExcludes {
		exclude = append(append([]string{}, defaultExcludes...), exclude...)
	}
	excluded, included := preparePatterns(exclude), preparePatterns(p.IncludeOnly)
	m := matcher{steps: maxMatchSteps}
	for _, variable := range server {
		name, value, _ := strings.Cut(variable, "=")
		inherited := p.Inherit == inheritAll || p.Inherit == inheritCore && coreVariables[name]
		if !inherited {
			continue
		}
		omit, err := m.any(excluded, name)
		if err != nil {
			return err
		}
		if !omit {
			env[name] = value
		}
	}
	for name, value := range p.Set {
		env[name] = value
	}
	if len(included) == 0 {
		return nil
	}
	for name := range env {
		keep, err := m.any(included, name)
		if err != nil {
			return err
		}
		if !keep {
			delete(env, name)
		}
	}
	return nil
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
