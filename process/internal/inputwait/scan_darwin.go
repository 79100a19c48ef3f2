package inputwait

// Input is empty: Darwin does not report what a process waits for.
type Input struct{}

// Pipe returns the Input for a descriptor of a pipe.
func Pipe(int) (Input, error) { return Input{}, nil }

// Terminal returns the Input for a pseudo-terminal.
func Terminal(int) (Input, error) { return Input{}, nil }

// Scan returns false.
func Scan([]int, Input) bool { return false }
