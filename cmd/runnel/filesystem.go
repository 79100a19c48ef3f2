package main

// fileSystem is what is known of the file system of a directory.
type fileSystem struct {
	free     int64 // bytes that this user may still use
	inMemory bool
}
