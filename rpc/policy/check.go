package policy

// Opened are the files of a start, which are open and stay open until the exec is done.
type Opened struct {
	Dir          File
	Program      File
	Interpreters []File // of a script or an ELF file, as far as they are known
}

// File is an open file. FD may have been opened with O_PATH.
type File struct {
	Path string // by which it was opened
	FD   int
}
