package codex

import (
	"errors"

	"github.com/runnel-rpc/runnel/rpc/files"
)

// filePath returns the path of a file URI of this host. field is for the error.
func filePath(field, text string) (string, error) {
	path, err := files.ParseURI(text)
	if e := (*files.Error)(nil); errors.As(err, &e) {
		return "", invalidParams("%s must be a file URI, like file:///tmp: %v", field, e)
	}
	return path, err
}
