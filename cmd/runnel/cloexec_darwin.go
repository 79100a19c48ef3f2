package main

// setCloseOnExec does nothing: macOS has no call that sets the flag of all descriptors.
func setCloseOnExec() {}
