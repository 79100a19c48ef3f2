package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// defaultSocket returns $XDG_RUNTIME_DIR/runnel/sock, or ~/.local/state/runnel/sock if the variable
// is not set, or "" if there is no home directory either.
func defaultSocket() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "runnel", "sock")
	}
	return homeSocket()
}

func homeSocket() string {
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".local", "state", "runnel", "sock")
}

// runtimeDirs is where the directories are that XDG_RUNTIME_DIR names, by the uid. Tests set another
// one.
var runtimeDirs = "/run/user"

// otherSocket returns what defaultSocket returns in a process of this user that has XDG_RUNTIME_DIR if
// this one has not, and the other way round. It returns "" if that is the same.
func otherSocket() string {
	other := homeSocket()
	if !filepath.IsAbs(os.Getenv("XDG_RUNTIME_DIR")) {
		other = filepath.Join(runtimeDirs, strconv.Itoa(os.Geteuid()), "runnel", "sock")
	}
	if other == defaultSocket() {
		return ""
	}
	return other
}

// userSockets returns where the user's server may listen, in the order to try: socketPath and, without
// RUNNEL_SOCKET, otherSocket. The latter is left out if another user could have made it.
func userSockets() (all []string) {
	if socket := socketPath(); socket != "" {
		all = append(all, socket)
	}
	if other := otherSocket(); other != "" && os.Getenv("RUNNEL_SOCKET") == "" && noneElseCanWrite(filepath.Dir(other)) {
		all = append(all, other)
	}
	return all
}

// noneElseCanWrite reports whether a directory does not exist, or belongs to this user, and its group
// and others must not write it.
func noneElseCanWrite(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	return info.IsDir() && checkOwnDir(info) == nil
}

// userTokenFile returns the token file of the user's server, or "" if there is none. If there is one at
// both places, that of the server that listens counts.
func userTokenFile() string {
	var sockets []string
	for _, socket := range userSockets() {
		if _, err := os.Stat(tokenPath(socket)); !errors.Is(err, fs.ErrNotExist) {
			sockets = append(sockets, socket)
		}
	}
	if len(sockets) == 0 {
		return ""
	}
	if len(sockets) > 1 && !isListening(sockets[0]) && isListening(sockets[1]) {
		return tokenPath(sockets[1])
	}
	return tokenPath(sockets[0])
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
