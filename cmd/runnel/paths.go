package main

import (
	"os"
	"path/filepath"
)

// defaultSocket returns $XDG_RUNTIME_DIR/runnel/sock, or ~/.local/state/runnel/sock if the variable
// is not set, or "" if there is no home directory either.
func defaultSocket() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "runnel", "sock")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".local", "state", "runnel", "sock")
}

// defaultStateDir returns the directory of the state files of this user's servers, next to the
// default socket, or "".
func defaultStateDir() string {
	socket := defaultSocket()
	if socket == "" {
		return ""
	}
	return filepath.Join(filepath.Dir(socket), "servers")
}

// socketPath returns the socket of the user's server: $RUNNEL_SOCKET, or the default.
func socketPath() string {
	if path := os.Getenv("RUNNEL_SOCKET"); path != "" {
		return path
	}
	return defaultSocket()
}

// tokenPath returns the token file in the directory of a socket, or of the default one if socket is
// "". It returns "" if there is neither.
func tokenPath(socket string) string {
	if socket == "" {
		socket = defaultSocket()
	}
	if socket == "" {
		return ""
	}
	return filepath.Join(filepath.Dir(socket), "token")
}

// makePrivateDir creates a directory with mode 0700. An existing one is not changed.
func makePrivateDir(dir string) error { return os.MkdirAll(dir, 0o700) }

// writeAtomically replaces a file, with mode 0600, by a rename.
func writeAtomically(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}
