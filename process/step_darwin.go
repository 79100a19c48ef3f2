package process

// Step does nothing on Darwin, where no command needs an exec step: limits and attributes are
// refused.
func Step() {}
