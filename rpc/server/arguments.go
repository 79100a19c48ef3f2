package server

import (
	"strconv"
	"strings"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
)

// checkArguments finds what of a command no program can be given, and names it.
func checkArguments(p *rpc.ExecuteParams) *rpc.Error {
	if err := checkNUL("cwd", string(p.Cwd)); err != nil {
		return err
	}
	if err := checkNUL("command", p.Command.Shell); err != nil {
		return err
	}
	for i, arg := range p.Command.Argv {
		if strings.IndexByte(arg, 0) >= 0 || len(arg) > process.MaxArgument {
			return checkArgument("command["+strconv.Itoa(i)+"]", arg)
		}
	}
	return nil
}

func checkNUL(field, text string) *rpc.Error {
	if strings.IndexByte(text, 0) >= 0 {
		return rpc.InvalidParams(field, "%s holds NUL", field)
	}
	return nil
}

// checkArgument checks what becomes one string of the argument list.
func checkArgument(field, text string) *rpc.Error {
	if err := checkNUL(field, text); err != nil {
		return err
	}
	if len(text) > process.MaxArgument {
		return rpc.InvalidParams(field, "%s is %d bytes long; a program takes at most %d", field, len(text), process.MaxArgument)
	}
	return nil
}

// checkVariable checks a variable that field sets. Its name counts, and the = between.
func checkVariable(field, name, value string) *rpc.Error {
	if err := checkNUL(field, value); err != nil {
		return err
	}
	if n := len(name) + 1 + len(value); n > process.MaxArgument {
		return rpc.InvalidParams(field, "%s is %d bytes long with its name; a program takes at most %d", field, n, process.MaxArgument)
	}
	return nil
}

// variableField is the path of a variable in params, with no more of its name than an error needs.
func variableField(name string) string {
	const most = 128
	if len(name) > most {
		name = strings.ToValidUTF8(name[:most], "") + "…"
	}
	return "env." + name
}
