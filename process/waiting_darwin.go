package process

// WaitsForInput is false: Darwin does not report what a process waits for.
func (p *Process) WaitsForInput() bool { return false }
