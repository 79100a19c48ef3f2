package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run prints the script, which completes verbs, flags, and session ids.
func (c *completionCmd) Run(inv *invocation, k *kong.Kong) error {
	_, err := fmt.Fprint(inv.stdout, scripts[c.Shell](verbsOf(k)))
	return err
}

// verb is the description of a verb for completion.
type verb struct {
	name, help string
	flags      []flag
	values     []string // of its argument if it is an enumeration, or its own verbs
	takesID    bool
}

type flag struct{ name, help string }

// verbsOf returns the verbs of the command line.
func verbsOf(k *kong.Kong) (all []verb) {
	for _, n := range k.Model.Children {
		v := verb{name: n.Name, help: n.Help}
		v.addFlags(n)
		for _, child := range n.Children {
			v.values = append(v.values, child.Name)
			v.addFlags(child)
		}
		for _, p := range n.Positional {
			v.takesID = v.takesID || p.Name == "id"
			if p.Enum != "" {
				v.values = strings.Split(p.Enum, ",")
			}
		}
		all = append(all, v)
	}
	return all
}

func (v *verb) addFlags(n *kong.Node) {
	for _, f := range n.Flags {
		add := flag{"--" + f.Name, f.Help}
		if !f.Hidden && !slices.ContainsFunc(v.flags, func(known flag) bool { return known.name == add.name }) {
			v.flags = append(v.flags, add)
		}
	}
}

var scripts = map[string]func([]verb) string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}

// listIDs is a shell command that prints the ids and the names of all sessions, one per line.
const listIDs = `runnel ps 2>/dev/null | awk 'NR == 1 { n = $2 ~ /^NAME$/ } NR > 1 { print $1; if (n && $2 !~ /^-$/) print $2 }'`

func bashScript(verbs []verb) string {
	var names, cases strings.Builder
	for _, v := range verbs {
		names.WriteString(" " + v.name)
		all := v.values
		for _, f := range v.flags {
			all = append(all, f.name)
		}
		words := strings.Join(all, " ")
		if v.takesID {
			words += ` $(` + listIDs + `)`
		}
		fmt.Fprintf(&cases, "    %s) words=\"%s\" ;;\n", v.name, words)
	}
	return `# bash completion for runnel. To load it: source <(runnel completion bash)
_runnel() {
  local words="" i
  if ((COMP_CWORD == 1)); then
    words="` + strings.TrimSpace(names.String()) + `"
  else
    for ((i = 2; i < COMP_CWORD; i++)); do
      [[ ${COMP_WORDS[i]} == -- ]] && { COMPREPLY=($(compgen -c -f -- "${COMP_WORDS[COMP_CWORD]}")); return; }
    done
    case ${COMP_WORDS[1]} in
` + cases.String() + `    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _runnel runnel
`
}

func zshScript(verbs []verb) string {
	return `#compdef runnel
# zsh completion for runnel. To load it: source <(runnel completion zsh)
(( $+functions[compdef] )) || { autoload -U compinit && compinit -i; }
autoload -U +X bashcompinit && bashcompinit
` + bashScript(verbs)
}

func fishScript(verbs []verb) string {
	var b strings.Builder
	b.WriteString("# fish completion for runnel. To load it: runnel completion fish | source\n")
	quote := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	for _, v := range verbs {
		fmt.Fprintf(&b, "complete -c runnel -n __fish_use_subcommand -f -a %s -d '%s'\n", v.name, quote.Replace(v.help))
		for _, f := range v.flags {
			fmt.Fprintf(&b, "complete -c runnel -n '__fish_seen_subcommand_from %s' -l %s -d '%s'\n", v.name, f.name[2:], quote.Replace(f.help))
		}
		if len(v.values) > 0 {
			fmt.Fprintf(&b, "complete -c runnel -n '__fish_seen_subcommand_from %s' -f -a '%s'\n", v.name, strings.Join(v.values, " "))
		}
		if v.takesID {
			fmt.Fprintf(&b, "complete -c runnel -n '__fish_seen_subcommand_from %s' -f -a \"(%s)\"\n", v.name, strings.ReplaceAll(listIDs, "$", `\$`))
		}
	}
	return b.String()
}
