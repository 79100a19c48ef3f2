package codex

import (
	"encoding/json"
	"path"
	"strings"

	"github.com/runnel-rpc/runnel/rpc"
)

// sandboxParams is what a client wants a command, or an operation on files, to be restricted to.
type sandboxParams struct {
	Permissions          permissions `json:"permissions"`
	Cwd                  string      `json:"cwd"`
	WorkspaceRoots       []string    `json:"workspaceRoots"`
	TemporaryDirectories []string    `json:"temporaryDirectories"`
}

type permissions struct {
	Type       string `json:"type"`
	FileSystem struct {
		Type    string         `json:"type"`
		Entries []sandboxEntry `json:"entries"`
	} `json:"file_system"`
	Network string `json:"network"`
}

type sandboxEntry struct {
	Path struct {
		Type  string          `json:"type"`
		Path  string          `json:"path"`
		Value json.RawMessage `json:"value"`
	} `json:"path"`
	Access  string `json:"access"`
	Missing string `json:"missing_path_behavior"`
}

// specialPath is the value of a path of the type special.
type specialPath struct {
	Kind    string `json:"kind"`
	Subpath string `json:"subpath"`
}

// maxSandboxEntries bounds the entries of a sandbox, with those of all workspace roots.
const maxSandboxEntries = 256

// sandboxing converts a sandbox of Codex to that of an execute.
type sandboxing struct {
	roots     []string // of the workspace
	temporary []string
	result    rpc.Sandbox
	index     map[string]int // of result.Files, by path
}

// mapSandbox returns the sandbox of an execute, or nil if there is none. cwd is the directory of the
// command, tmpdir the value of TMPDIR in its environment. What cannot be mapped is an error: nothing is
// left out that would restrict the command.
func mapSandbox(p *sandboxParams, cwd, tmpdir string) (*rpc.Sandbox, error) {
	if p == nil || p.Permissions.Type == "disabled" {
		return nil, nil
	}
	if p.Permissions.Type != "managed" {
		return nil, errSandbox("permissions of the type " + clip(p.Permissions.Type) + " are not known")
	}
	x := &sandboxing{index: make(map[string]int)}
	x.result = rpc.Sandbox{FilesDefault: rpc.AccessNone, Tmp: rpc.TmpShared}
	switch p.Permissions.Network {
	case "restricted":
		x.result.Network.Mode = rpc.NetworkNone
	case "enabled":
		x.result.Network.Mode = rpc.NetworkFull
	default:
		return nil, errSandbox("the network " + clip(p.Permissions.Network) + " is not known")
	}
	if err := x.locate(p, cwd, tmpdir); err != nil {
		return nil, err
	}
	switch files := &p.Permissions.FileSystem; files.Type {
	case "unrestricted":
		x.add("/", rpc.AccessWrite, rpc.MissingSkip)
	case "restricted":
		if len(files.Entries)*max(len(x.roots), len(x.temporary), 1) > maxSandboxEntries {
			return nil, errSandbox("it has too many entries")
		}
		for i := range files.Entries {
			if err := x.entry(&files.Entries[i]); err != nil {
				return nil, err
			}
		}
	default:
		return nil, errSandbox("the file system " + clip(files.Type) + " is not known")
	}
	return &x.result, nil
}

// locate sets the directories that special paths refer to.
func (x *sandboxing) locate(p *sandboxParams, cwd, tmpdir string) error {
	for _, uri := range p.WorkspaceRoots {
		root, err := filePath("sandbox.workspaceRoots", uri)
		if err != nil {
			return err
		}
		x.roots = append(x.roots, root)
	}
	if len(x.roots) == 0 {
		root := cwd
		if p.Cwd != "" {
			var err error
			if root, err = filePath("sandbox.cwd", p.Cwd); err != nil {
				return err
			}
		}
		x.roots = []string{root}
	}
	for _, uri := range p.TemporaryDirectories {
		dir, err := filePath("sandbox.temporaryDirectories", uri)
		if err != nil {
			return err
		}
		x.temporary = append(x.temporary, dir)
	}
	if len(x.temporary) == 0 && path.IsAbs(tmpdir) {
		x.temporary = []string{tmpdir}
	}
	return nil
}

// entry adds the rules of one entry.
func (x *sandboxing) entry(e *sandboxEntry) error {
	access := e.Access
	switch access {
	case rpc.AccessRead, rpc.AccessWrite:
	case "deny", "none":
		access = rpc.AccessNone
	default:
		return errSandbox("the access " + clip(access) + " is not known")
	}
	// Where a path that may be written is missing, less is permitted. Where one is missing that is to
	// be protected, the command could make it.
	missing := rpc.MissingError
	if access == rpc.AccessWrite || e.Missing == "skip" {
		missing = rpc.MissingSkip
	}
	switch e.Path.Type {
	case "path":
		file := e.Path.Path
		if !path.IsAbs(file) {
			var err error
			if file, err = filePath("sandbox: path", file); err != nil {
				return err
			}
		}
		return x.addClean([]string{file}, access, missing)
	case "special":
		return x.special(e, access, missing)
	}
	return errSandbox("paths of the type " + clip(e.Path.Type) + " are not supported")
}

func (x *sandboxing) special(e *sandboxEntry, access, missing string) error {
	var at specialPath
	if json.Unmarshal(e.Path.Value, &at) != nil {
		return errSandbox("a special path has no valid value")
	}
	switch at.Kind {
	case "root":
		if access == rpc.AccessRead {
			x.result.FilesDefault = rpc.AccessRead
			return nil
		}
		return x.addClean([]string{"/"}, access, missing)
	case "project_roots":
		files := make([]string, len(x.roots))
		for i, root := range x.roots {
			files[i] = root
			if at.Subpath != "" {
				files[i] += "/" + at.Subpath
			}
		}
		return x.addClean(files, access, missing)
	case "slash_tmp":
		return x.addClean([]string{"/tmp"}, access, missing)
	case "tmpdir":
		return x.addClean(x.temporary, access, rpc.MissingSkip)
	}
	return errSandbox("the special path " + clip(at.Kind) + " is not known")
}

func (x *sandboxing) addClean(files []string, access, missing string) error {
	for _, file := range files {
		for part := range strings.SplitSeq(file, "/") {
			if part == ".." {
				return errSandbox("a path contains ..: what it leads to depends on symbolic links")
			}
		}
		x.add(path.Clean(file), access, missing)
	}
	return nil
}

// add adds a rule. Of two with the same path the one that hides it wins, and else the one that permits
// more, as in Codex.
func (x *sandboxing) add(file, access, missing string) {
	i, ok := x.index[file]
	if !ok {
		x.index[file] = len(x.result.Files)
		x.result.Files = append(x.result.Files, rpc.SandboxRule{Path: rpc.Bytes(file), Access: access, Missing: missing})
		return
	}
	rule := &x.result.Files[i]
	if rule.Access != rpc.AccessNone && (access == rpc.AccessNone || access == rpc.AccessWrite) {
		rule.Access, rule.Missing = access, missing
	}
}
