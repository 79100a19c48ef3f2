package policy

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
)

// maxEntries is the largest number of elements of one list of a section.
const maxEntries = 1000

// section is what applies to one principal, to one group, or by default.
type section struct {
	name        string   // as in principal.ci
	methods     []string // nil permits all
	shell       bool
	programs    []program
	directories []string // absolute, or below the home directory: "~" or "~/…"
	directory   string   // of commands without cwd; "" is the server's
	env         environment
	users       []process.Account // the first one is the default; none is the server's own
	max         amounts
	defaults    amounts
	minNice     *int
	setUserID   bool   // set-user-ID programs have an effect
	sandbox     string // the profile that no command may exceed; "" is none
}

// rule returns the name of a key of the section, which a refusal names.
func (s *section) rule(key string) string { return s.name + "." + key }

// restrictable are the methods that a section may permit. All others are permitted to everybody:
// they only concern the connection and its requests.
var restrictable = []string{rpc.MethodExecute, rpc.MethodControl, rpc.MethodCancel, rpc.MethodWrite, rpc.MethodWait,
	rpc.MethodRead, rpc.MethodAttach, rpc.MethodStatus, rpc.MethodList, rpc.MethodForget}

// mayCall reports whether the section permits a method. A recording is permitted with read.
func (s *section) mayCall(method string) bool {
	if method == rpc.MethodRecording {
		method = rpc.MethodRead
	}
	return s.methods == nil || slices.Contains(s.methods, method) || !slices.Contains(restrictable, method)
}

// section compiles a section.
func (c *compiler) section(name string, text *sectionText) *section {
	s := &section{name: name, methods: text.Methods, shell: text.Shell, directory: text.Directory,
		setUserID: text.SetUserID}
	for key, n := range map[string]int{"methods": len(text.Methods), "programs": len(text.Programs),
		"directories": len(text.Directories), "users": len(text.Users), "groups": len(text.Groups)} {
		if n > maxEntries {
			c.bad(s.rule(key), fmt.Errorf("at most %d elements, not %d", maxEntries, n))
			return s
		}
	}
	for i, method := range text.Methods {
		if !slices.Contains(restrictable, method) {
			c.bad(fmt.Sprintf("%s[%d]", s.rule("methods"), i), fmt.Errorf("%q is not one of %v", method, restrictable))
		}
	}
	c.programs(s, text.Programs)
	c.directories(s, text.Directories)
	c.environment(s, &text.Environment)
	c.users(s, text)
	s.max = c.amounts(s.rule("max"), &text.Max)
	s.defaults = c.amounts(s.rule("defaults"), &text.Defaults)
	c.compareAmounts(s)
	if n := text.MinNice; n != nil {
		if *n < -20 || *n > 19 {
			c.bad(s.rule("min_nice"), fmt.Errorf("%d is not from -20 to 19", *n))
		}
		nice := int(*n)
		s.minNice = &nice
	}
	if s.sandbox = text.Sandbox; s.sandbox != "" && !c.options.HasProfile(s.sandbox) {
		c.bad(s.rule("sandbox"), fmt.Errorf("%q is not a profile of sandboxes", s.sandbox))
	}
	return s
}

func (c *compiler) programs(s *section, all []programText) {
	for i, text := range all {
		key := fmt.Sprintf("%s[%d]", s.rule("programs"), i)
		if err := validProgramPath(text.Path); err != nil {
			c.bad(key+".path", err)
		}
		args, err := ParseArguments(text.Args)
		if err != nil {
			c.bad(key+".args", err)
		}
		dir, directory := strings.CutSuffix(text.Path, "/*")
		s.programs = append(s.programs, program{
			path: text.Path, dir: dir, directory: directory, args: args, writable: text.Writable,
			rule: key,
		})
	}
}

// validProgramPath returns an error unless p is the absolute path of a program, without "." and
// "..", or the path of a directory and "/*".
func validProgramPath(p string) error {
	if err := validPath(strings.TrimSuffix(p, "/*")); err != nil {
		return err
	}
	if strings.ContainsAny(strings.TrimSuffix(p, "/*"), "*") {
		return errors.New("a * must be the last component: all files of that directory")
	}
	return nil
}

// validPath returns an error unless p is an absolute path in its shortest form.
func validPath(p string) error {
	switch {
	case p == "":
		return errors.New("is required")
	case strings.IndexByte(p, 0) >= 0:
		return errors.New("must not contain NUL")
	case !path.IsAbs(p):
		return fmt.Errorf("%q must be an absolute path", p)
	case path.Clean(p) != p:
		return fmt.Errorf("%q must be written %q", p, path.Clean(p))
	}
	return nil
}

func (c *compiler) directories(s *section, all []string) {
	check := func(key, dir string) {
		absolute := dir
		if home, ok := strings.CutPrefix(dir, "~"); ok {
			absolute = cmp.Or(home, "/")
		}
		if err := validPath(absolute); err != nil {
			c.bad(key, err)
		}
	}
	for i, dir := range all {
		check(fmt.Sprintf("%s[%d]", s.rule("directories"), i), dir)
	}
	if s.directory != "" {
		check(s.rule("directory"), s.directory)
	}
	s.directories = all
}

// roots returns the directories of the section for a user with a home directory, "" if it has none.
func (s *section) roots(home string) (roots []string) {
	for _, root := range s.directories {
		if home != "" || !strings.HasPrefix(root, "~") {
			roots = append(roots, inHome(root, home))
		}
	}
	return roots
}

// inHome replaces a ~ at the beginning of a directory of the policy by the home directory of a user.
func inHome(dir, home string) string {
	if below, ok := strings.CutPrefix(dir, "~"); ok {
		return path.Join("/", home, below)
	}
	return dir
}
