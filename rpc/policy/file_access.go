package policy

import (
	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/session"
)

// FileAccess is what a policy permits a principal to do with files, apart from its commands.
type FileAccess struct {
	// Directories are absolute paths below which files may be read and changed. Symbolic links in them
	// are not resolved. Rule is the key that lists them.
	Directories []string
	Rule        string
	Account     *process.Account // with whose rights; nil is the server's own user
	Floor       session.Floor    // the profile that no access may exceed; the zero value is none
}

// FileAccess decides which files a principal, which is in groups, may use: those below the directories
// in which its commands may start, as the user that they run as if the request names none. It may use
// none unless it may execute the shell: a file that it writes could change what a listed program does.
// Every error is a *Refusal. It uses no file and does not block.
func (p *Policy) FileAccess(principal string, groups []string) (*FileAccess, error) {
	if err := p.Authorize(principal, groups, rpc.MethodExecute); err != nil {
		return nil, err
	}
	s := p.section(principal, groups)
	if !s.shell {
		return nil, s.refuse("shell", "path", "files may be used only by whoever may execute the shell")
	}
	f := &FileAccess{Rule: s.rule("directories")}
	home := ""
	if len(s.users) > 0 {
		f.Account = &s.users[0]
		home = f.Account.Home
	}
	f.Directories = s.roots(home)
	if s.sandbox != "" {
		f.Floor = session.Floor{Profile: s.sandbox, Rule: s.rule("sandbox")}
	}
	return f, nil
}

// FileAccess is [Policy.FileAccess] for the policy that is in force.
func (g *Guard) FileAccess(id access.Identity) (*FileAccess, error) {
	return g.policy.Load().FileAccess(id.Principal, g.groups(id.Principal))
}
