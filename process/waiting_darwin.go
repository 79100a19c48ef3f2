package process

// inspection has nothing to look at: Darwin does not tell what a process waits for.
type inspection struct{}

// WaitsForInput is false: it can't be known.
func (p *Process) WaitsForInput() bool { return false }
