package leader

// EachDescendant is not needed on this system.
func (g *Group) EachDescendant(int, func(pid int, isMember func() bool)) bool { return false }
