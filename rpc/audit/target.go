package audit

// target is where lines are written. Its methods are called by one goroutine at a time, except
// close, and may block.
type target interface {
	// write writes whole lines, and returns how many bytes of whole lines were written.
	write(lines []byte) (n int, err error)
	// reopen opens the target again. After an error the old one is used.
	reopen() error
	close()
}
