package execfile

import "context"

// Cache does nothing on Darwin, which has no leases.
type Cache struct{}

// Close does nothing.
func (c *Cache) Close() {}

// Pinned is the program of one exec.
type Pinned struct {
	Path     string // of the program
	MayBlock bool   // always false
}

// Close does nothing.
func (f *Pinned) Close() {}

// Pin looks the program up. It does not open files.
func (c *Cache) Pin(_ context.Context, p *Program, _ func(path string)) (f Pinned, err error) {
	f.Path, err = p.lookup()
	return f, err
}

// PinCached is false: it is not known whether an exec blocks.
func (c *Cache) PinCached(*Program) (f Pinned, ok bool) { return f, false }
