package process

// watchMember returns nil: a tree is looked at again and again.
func watchMember([]int, func(pid int) (bool, error)) *watched { return nil }
