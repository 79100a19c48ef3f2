package codex

import (
	"cmp"
	"context"
	"errors"
	"path"

	"github.com/runnel-rpc/runnel/rpc/files"
	"github.com/runnel-rpc/runnel/rpc/server"
)

// This file has the methods fs/…, which package files carries out.

type fileParams struct {
	Path           string         `json:"path"`
	Sandbox        *sandboxParams `json:"sandbox"`
	FollowSymlinks *bool          `json:"followSymlinks"`
}

// at returns the path of a request and what the caller may do there: what a command may that has the
// sandbox of the request. changes is set for a request that may change files.
func (c *conn) at(q *fileParams, changes bool) (files.Path, *files.Access, error) {
	name, err := files.ParseURI(q.Path)
	if err != nil {
		return files.Path{}, nil, err
	}
	dir, err := q.Sandbox.directory()
	if err != nil {
		return files.Path{}, nil, err
	}
	box, err := mapSandbox(q.Sandbox, cmp.Or(dir, path.Dir(path.Clean(name))), variable(c.caller.Defaults().Environ, "TMPDIR"))
	if err != nil {
		return files.Path{}, nil, err
	}
	a, err := c.caller.FileAccess(server.FileRequest{Path: path.Clean(name), Changes: changes, Dir: dir, Sandbox: box})
	if err != nil {
		c.caller.AuditFile(auditAccess, name, "", err)
	}
	return files.Path{Name: name, NoFollow: !unlessFalse(q.FollowSymlinks)}, a, err
}

// directory returns the working directory that the sandbox of an operation on files names, else its first
// workspace root, or "" if it has none.
func (p *sandboxParams) directory() (string, error) {
	switch {
	case p == nil:
		return "", nil
	case p.Cwd != "":
		return filePath("sandbox.cwd", p.Cwd)
	case len(p.WorkspaceRoots) > 0:
		return filePath("sandbox.workspaceRoots", p.WorkspaceRoots[0])
	}
	return "", nil
}

// audit writes an operation to the audit log. A read that the system has refused is left out: clients look for
// many files that are not there.
func (c *conn) audit(action, name, to string, err error) {
	if e, ok := errors.AsType[*files.Error](err); ok && action == auditRead && !server.IsRefusedFile(e) {
		return
	}
	c.caller.AuditFile(action, name, to, err)
}

// The actions of the audit log.
const (
	auditAccess          = "access" // it was refused before the operation
	auditRead            = "read"
	auditWrite           = "write"
	auditCreateDirectory = "create_directory"
	auditRemove          = "remove"
	auditCopy            = "copy"
)

// changesFiles reports whether a request may change files.
func changesFiles(params any) bool {
	switch q := params.(type) {
	case *writeFileParams, *createDirectoryParams, *removeParams:
		return true
	case *openParams:
		return q.Mode == modeReplace
	}
	return false
}

// onFile makes the handler of an operation on a path. of returns the common params.
func onFile[P any](of func(*P) *fileParams, f func(*conn, *P, files.Path, *files.Access) (any, error)) func(*conn, *P) answer {
	return func(c *conn, q *P) answer {
		return later(func() answer {
			p, a, err := c.at(of(q), changesFiles(q))
			if err != nil {
				return result(nil, err)
			}
			return result(f(c, q, p, a))
		})
	}
}

func plainParams(q *fileParams) *fileParams { return q }

// readFileResult is an encoder.
type readFileResult struct{ DataBase64 []byte }

func readFile(c *conn, q *fileParams) answer {
	return later(func() answer {
		p, a, err := c.at(q, false)
		if err != nil {
			return result(nil, err)
		}
		return c.readWhole(a, p)
	})
}

type writeFileParams struct {
	fileParams
	DataBase64 []byte `json:"dataBase64"` // encoding/json reads base64
}

func writeFile(c *conn, q *writeFileParams, p files.Path, a *files.Access) (any, error) {
	err := c.files.WriteFile(c.ctx, a, p, q.DataBase64)
	c.audit(auditWrite, p.Name, "", err)
	return struct{}{}, err
}

type metadataResult struct {
	IsDirectory  bool  `json:"isDirectory"`
	IsFile       bool  `json:"isFile"`
	IsSymlink    bool  `json:"isSymlink"`
	Size         int64 `json:"size"`
	CreatedAtMs  int64 `json:"createdAtMs"`
	ModifiedAtMs int64 `json:"modifiedAtMs"`
}

func getMetadata(c *conn, _ *fileParams, p files.Path, a *files.Access) (any, error) {
	m, err := c.files.GetMetadata(c.ctx, a, p)
	return metadataResult{m.Directory, m.Regular, m.Symlink, m.Size, m.Created, m.Modified}, err
}

type pathResult struct {
	Path string `json:"path"`
}

func canonicalize(c *conn, _ *fileParams, p files.Path, a *files.Access) (any, error) {
	name, err := c.files.Canonicalize(c.ctx, a, p)
	if err != nil {
		return nil, err
	}
	return pathResult{files.FormatURI(name)}, nil
}

type directoryResult struct {
	Entries []directoryEntry `json:"entries"`
}

type directoryEntry struct {
	FileName    string `json:"fileName"`
	IsDirectory bool   `json:"isDirectory"`
	IsFile      bool   `json:"isFile"`
}

func readDirectory(c *conn, _ *fileParams, p files.Path, a *files.Access) (any, error) {
	list, err := c.files.ReadDirectory(c.ctx, a, p)
	all := directoryResult{make([]directoryEntry, 0, len(list))}
	for _, e := range list {
		all.Entries = append(all.Entries, directoryEntry{e.Name, e.Directory, e.Regular})
	}
	return all, err
}

type walkParams struct {
	fileParams
	Options struct {
		MaxDepth                int  `json:"maxDepth"`
		MaxDirectories          int  `json:"maxDirectories"`
		MaxEntries              int  `json:"maxEntries"`
		FollowDirectorySymlinks bool `json:"followDirectorySymlinks"`
		PruneHiddenDirectories  bool `json:"pruneHiddenDirectories"`
	} `json:"options"`
}

type walkResult struct {
	Entries   []walkEntry `json:"entries"`
	Errors    []walkError `json:"errors"`
	Truncated bool        `json:"truncated"`
}

type walkEntry struct {
	Path string `json:"path"`
	Kind string `json:"kind"`
}

type walkError struct {
	Path    string `json:"path"`
	Message string `json:"message"`
}

func walk(c *conn, q *walkParams, p files.Path, a *files.Access) (any, error) {
	o := &q.Options
	w, err := c.files.Walk(c.ctx, a, p, files.WalkOptions{
		MaxDepth: o.MaxDepth, MaxDirectories: o.MaxDirectories, MaxEntries: o.MaxEntries,
		FollowDirectories: o.FollowDirectorySymlinks, SkipHidden: o.PruneHiddenDirectories,
	})
	all := walkResult{Entries: make([]walkEntry, 0, len(w.Entries)), Errors: make([]walkError, 0, len(w.Errors)), Truncated: w.Truncated}
	for _, e := range w.Entries {
		kind := "file"
		if e.Directory {
			kind = "directory"
		}
		all.Entries = append(all.Entries, walkEntry{files.FormatURI(e.Path), kind})
	}
	for _, e := range w.Errors {
		all.Errors = append(all.Errors, walkError{files.FormatURI(e.Path), e.Err.Error()})
	}
	return all, err
}

type createDirectoryParams struct {
	fileParams
	Recursive *bool `json:"recursive"` // true if left out
}

func createDirectory(c *conn, q *createDirectoryParams, p files.Path, a *files.Access) (any, error) {
	err := c.files.CreateDirectory(c.ctx, a, p, unlessFalse(q.Recursive))
	c.audit(auditCreateDirectory, p.Name, "", err)
	return struct{}{}, err
}

type removeParams struct {
	fileParams
	Recursive *bool `json:"recursive"` // true if left out
	Force     *bool `json:"force"`     // true if left out
}

func remove(c *conn, q *removeParams, p files.Path, a *files.Access) (any, error) {
	err := c.files.Remove(c.ctx, a, p, files.RemoveOptions{Recursive: unlessFalse(q.Recursive), Force: unlessFalse(q.Force)})
	c.audit(auditRemove, p.Name, "", err)
	return struct{}{}, err
}

// unlessFalse returns the value of a param that is true if it is left out, as in Codex's server.
func unlessFalse(b *bool) bool { return b == nil || *b }

type copyParams struct {
	SourcePath      string         `json:"sourcePath"`
	DestinationPath string         `json:"destinationPath"`
	Recursive       bool           `json:"recursive"`
	Sandbox         *sandboxParams `json:"sandbox"`
}

func copyFile(c *conn, q *copyParams) answer {
	return later(func() answer {
		source, _, err := c.at(&fileParams{Path: q.SourcePath, Sandbox: q.Sandbox}, false)
		if err != nil {
			return result(nil, err)
		}
		destination, a, err := c.at(&fileParams{Path: q.DestinationPath, Sandbox: q.Sandbox}, true)
		if err != nil {
			return result(nil, err)
		}
		err = c.files.Copy(c.ctx, a, source, destination, q.Recursive)
		c.audit(auditCopy, source.Name, destination.Name, err)
		return result(struct{}{}, err)
	})
}

type openParams struct {
	fileParams
	HandleID string `json:"handleId"`
	Mode     string `json:"mode"` // read, which is the default, or modeReplace
}

const modeReplace = "replace"

type handleResult struct {
	HandleID string `json:"handleId"`
}

func openFile(c *conn, q *openParams, p files.Path, a *files.Access) (any, error) {
	mode, action := files.ForReading, auditRead
	switch q.Mode {
	case "", "read":
	case modeReplace:
		mode, action = files.ForReplacing, auditWrite
	default:
		return nil, invalidParams("mode must be read or replace")
	}
	err := c.files.Open(c.ctx, a, q.HandleID, p, mode)
	c.audit(action, p.Name, "", err)
	return handleResult{q.HandleID}, err
}

type readBlockParams struct {
	HandleID string `json:"handleId"`
	Offset   int64  `json:"offset"`
	Len      int    `json:"len"`
}

type blockResult struct {
	Chunk []byte `json:"chunk"` // encoding/json writes base64
	EOF   bool   `json:"eof"`
}

func readBlock(c *conn, q *readBlockParams) answer {
	return later(func() answer {
		if err := c.mayUseHandles(auditRead); err != nil {
			return result(nil, err)
		}
		return c.large(blockCost, func(*largeReply) (any, error) {
			b, err := c.files.ReadBlock(c.ctx, q.HandleID, q.Offset, q.Len)
			if b.Data == nil {
				b.Data = []byte{}
			}
			return blockResult{b.Data, b.EOF}, err
		})
	})
}

type writeBlockParams struct {
	HandleID string `json:"handleId"`
	Offset   int64  `json:"offset"`
	Chunk    []byte `json:"chunk"` // encoding/json reads base64
}

func writeBlock(c *conn, q *writeBlockParams) answer {
	return later(func() answer {
		if err := c.mayUseHandles(auditWrite); err != nil {
			return result(nil, err)
		}
		return result(struct{}{}, c.files.WriteBlock(c.ctx, q.HandleID, q.Offset, q.Chunk))
	})
}

// mayUseHandles is Caller.MayUseHandles, and writes a refusal to the audit log.
func (c *conn) mayUseHandles(action string) error {
	err := c.caller.MayUseHandles()
	if err != nil {
		c.caller.AuditFile(action, "", "", err)
	}
	return err
}

type watchResult struct {
	Watching bool `json:"watching"`
}

// watchMissing tells the client to look again itself.
func watchMissing(*conn, *struct{}) answer { return result(watchResult{false}, nil) }

type handleParams struct {
	HandleID string `json:"handleId"`
}

func closeFile(c *conn, q *handleParams) answer {
	c.files.CloseHandle(q.HandleID)
	return result(struct{}{}, nil)
}

// internalErrors are those for which Codex's server, too, has the code of an internal error.
var internalErrors = []error{
	files.ErrExists, files.ErrNotDirectory, files.ErrIsDirectory, files.ErrNotEmpty,
	files.ErrIO, files.ErrTimeout, files.ErrNoSpace, context.Canceled,
}

// fileError converts an error of package files. A file of which the caller may not know whether it exists
// does not exist for it.
func fileError(e *files.Error) *wireError {
	switch {
	case e.Invisible, errors.Is(e, files.ErrNotFound):
		return &wireError{Code: codeNotFound, Message: e.Error()}
	case errors.Is(e, files.ErrInvalidPath), errors.Is(e, files.ErrInvalid):
		return invalidParams("%v", e)
	}
	for _, kind := range internalErrors {
		if errors.Is(e, kind) {
			return &wireError{Code: codeInternal, Message: e.Error()}
		}
	}
	return invalidRequest("%v", e)
}
