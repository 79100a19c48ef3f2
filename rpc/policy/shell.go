package policy

import (
	"bufio"
	"io"
	"os"
	"strings"
)

// maxPasswd is how much of /etc/passwd is read.
const maxPasswd = 4 << 20

// loginShell returns the login shell of a user in /etc/passwd (passwd(5)), which os/user does not
// return, or "".
func loginShell(name string) string {
	f, err := os.Open("/etc/passwd")
	if err != nil {
		return ""
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, maxPasswd))
	for lines.Scan() {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) == 7 && fields[0] == name {
			return fields[6]
		}
	}
	return ""
}
