package execfile

import "bytes"

// scriptLine is the first line of a script (execve(2)).
type scriptLine struct {
	interpreter string
	arguments   []string // at most one
}

// parseScriptLine parses the first maxScriptLine bytes of a script, filled up with zeros, as the
// kernel does (fs/binfmt_script.c). It returns nil if the kernel does not execute the script
// (ENOEXEC), since there is no interpreter, or its name may be longer.
func parseScriptLine(first []byte) *scriptLine {
	const blanks, ends = " \t", " \t\x00"
	line := first[len("#!"):]
	end := bytes.IndexAny(line, "\n\x00")
	if end < 0 || line[end] == 0 {
		name := bytes.TrimLeft(line, blanks)
		if !bytes.ContainsAny(name, ends) {
			return nil
		}
		end = len(line) - 1
	}
	line = bytes.Trim(line[:end], blanks)
	if len(line) == 0 {
		return nil
	}
	end = bytes.IndexAny(line, ends)
	switch {
	case end < 0:
		return &scriptLine{interpreter: string(line)}
	case line[end] == 0:
		return &scriptLine{interpreter: string(line[:end])}
	}
	argument, _, _ := bytes.Cut(bytes.TrimLeft(line[end:], blanks), []byte{0})
	return &scriptLine{string(line[:end]), []string{string(argument)}}
}
