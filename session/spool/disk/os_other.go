//go:build !linux

package disk

const direct = 0

func newMemory() (b []byte, free func(), err error) { return Aligned(MemoryBytes), func() {}, nil }

func (file) PunchHole(offset, n int64) error { return ErrNoHoles }

func (file) SkipHole(offset int64) (int64, error) { return offset, nil }

func (file) StartWriting(offset, n int64) error { return nil }

func (file) DropCache(offset, n int64) error { return nil }
