package process

// Prepare reports whether Start will not wait for a file system, which is not known here.
func (a *Attempt) Prepare() bool { return false }
