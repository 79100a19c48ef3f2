package server

import (
	"strconv"
	"strings"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
)

// checkArguments checks that execve(2) accepts the arguments of a command and its directory.
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
		return rpc.InvalidParams(field, "%s contains NUL", field)
	}
	return nil
}

// checkArgument checks one string of the argument list.
func checkArgument(field, text string) *rpc.Error {
	if err := checkNUL(field, text); err != nil {
		return err
	}
	if len(text) > process.MaxArgument {
		return rpc.InvalidParams(field, "%s must be at most %d bytes long, and has %d", field, process.MaxArgument, len(text))
	}
	return nil
}

// checkVariable checks a variable that field sets. The bound includes its name and the =.
func checkVariable(field, name, value string) *rpc.Error {
	if err := checkNUL(field, value); err != nil {
		return err
	}
	if n := len(name) + 1 + len(value); n > process.MaxArgument {
		return rpc.InvalidParams(field, "%s must be at most %d bytes long with its name, and has %d",
			field, process.MaxArgument, n)
	}
	return nil
}
