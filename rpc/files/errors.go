package files

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// The kinds of errors. Every error of an operation is an *Error that wraps one of them, except those
// about the sandbox of an Access itself.
var (
	ErrInvalidPath   = errors.New("is not a valid path")
	ErrInvalid       = errors.New("is not valid")
	ErrNotFound      = errors.New("does not exist")
	ErrExists        = errors.New("already exists")
	ErrNotDirectory  = errors.New("is not a directory")
	ErrIsDirectory   = errors.New("is a directory")
	ErrNotEmpty      = errors.New("is not empty")
	ErrNotRegular    = errors.New("is not a regular file")
	ErrSymlink       = errors.New("has a symbolic link that must not be followed")
	ErrForbidden     = errors.New("is not permitted")         // by Access
	ErrPermission    = errors.New("is refused by the system") // by the kernel, to the user
	ErrTooLarge      = errors.New("exceeds a limit")          // Detail names the limit
	ErrNoSpace       = errors.New("does not fit on its file system")
	ErrBusy          = errors.New("is busy") // may be tried again
	ErrTimeout       = errors.New("took too long")
	ErrCanceled      = errors.New("was canceled")
	ErrClosed        = errors.New("is closed") // the Pool or the Owner
	ErrHandleExists  = errors.New("handle is already open")
	ErrUnknownHandle = errors.New("handle is not open")
	ErrHandleMode    = errors.New("handle is not open for this")
	ErrUnsupported   = errors.New("is not supported on this system")
	ErrIO            = errors.New("failed") // any other error of the system
)

// Error is why an operation failed.
type Error struct {
	Op string // the method, as in "ReadFile"
	// Path is what the caller has named, or what is below it. It never tells where a symbolic link
	// leads. It is "" if the error is not about a path.
	Path string
	Kind error  // one of the errors of this package
	Rule string // of ErrForbidden: what forbids it, Access.Rule or SandboxRule, or another reason
	// Invisible is set if the caller may not even know whether the path exists. The answer is then the
	// same whether it does.
	Invisible bool
	Detail    string        // more about Kind, "" for none
	Errno     syscall.Errno // of the system, 0 for none
}

func (e *Error) Error() string {
	text := e.Op + ": "
	if e.Path != "" {
		text += fmt.Sprintf("%q ", e.Path)
	}
	text += e.Kind.Error()
	switch {
	case e.Detail != "":
		text += ": " + e.Detail
	case e.Rule != "":
		text += " by " + e.Rule
	case e.Errno != 0 && (e.Kind == ErrIO || e.Kind == ErrPermission || e.Kind == ErrBusy):
		text += ": " + e.Errno.Error()
	}
	return text
}

// Unwrap returns the kind and, if there is one, the errno.
func (e *Error) Unwrap() []error {
	if e.Errno == 0 {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Errno}
}

// kinds are the kinds of errors of the system.
var kinds = map[syscall.Errno]error{
	syscall.ENOENT: ErrNotFound, syscall.EEXIST: ErrExists, syscall.ENOTDIR: ErrNotDirectory,
	syscall.EISDIR: ErrIsDirectory, syscall.ENOTEMPTY: ErrNotEmpty, syscall.ENXIO: ErrNotRegular,
	syscall.EACCES: ErrPermission, syscall.EPERM: ErrPermission, syscall.EROFS: ErrPermission,
	syscall.ELOOP: ErrSymlink, syscall.ENAMETOOLONG: ErrInvalidPath,
	syscall.ENOSPC: ErrNoSpace, syscall.EDQUOT: ErrNoSpace, syscall.EFBIG: ErrNoSpace,
	syscall.EAGAIN: ErrBusy, syscall.EBUSY: ErrBusy, syscall.ETXTBSY: ErrBusy,
	syscall.EMFILE: ErrBusy, syscall.ENFILE: ErrBusy, syscall.ENOMEM: ErrBusy, syscall.EXDEV: ErrBusy,
	syscall.ENOSYS: ErrUnsupported,
}

// failure returns an error of the system about a path as an *Error. An *Error is returned as it is.
func failure(path string, err error) error {
	if _, ok := errors.AsType[*Error](err); ok || err == nil {
		return err
	}
	if errors.Is(err, os.ErrClosed) { // a handle, by another request
		return &Error{Path: path, Kind: ErrUnknownHandle}
	}
	errno, _ := errors.AsType[syscall.Errno](err)
	kind := kinds[errno]
	if kind == nil {
		kind = ErrIO
	}
	return &Error{Path: path, Kind: kind, Errno: errno}
}

// tooLarge returns an ErrTooLarge that names its limit.
func tooLarge(path, format string, args ...any) error {
	return &Error{Path: path, Kind: ErrTooLarge, Detail: fmt.Sprintf(format, args...)}
}
