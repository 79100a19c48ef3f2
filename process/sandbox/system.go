package sandbox

import "slices"

// systemDirs have the programs and the configuration of the machine, which are executed or read outside
// of sandboxes, by other users too. A rule makes one of them writable only if it has its absolute path,
// and not by the working directory or the home directory of a command, or by a symbolic link.
//
// Directories where people work are not among them, although some of what is there is executed: home
// directories (/root is one), /var, /srv and /opt.
var systemDirs = []string{"/bin", "/boot", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/sbin", "/usr"}

// sources are in system directories, and are where containers have the files of an application.
var sources = []string{"/usr/src", "/usr/local/src"}

// inSystem reports whether a path is the root, a system directory, or in one.
func inSystem(file string) bool {
	in := func(dir string) bool { return Below(file, dir) }
	inside := func(dir string) bool { return file != dir && Below(file, dir) }
	return file == "/" || slices.ContainsFunc(systemDirs, in) && !slices.ContainsFunc(sources, inside)
}

// isNeeded reports whether a path is one that programs need to run: the root, or a system directory and
// what is in it, but not single files of the configuration, which may be secrets.
func isNeeded(file string) bool {
	return inSystem(file) && (file == "/etc" || !Below(file, "/etc"))
}
