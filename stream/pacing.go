package stream

// Hold makes output wait at the end of the log until release is called: what is appended meanwhile lies behind an
// event that is. Events do not wait.
func (l *Log) Hold() (release func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.held--
		l.stir()
	}
}

// wait blocks until nobody holds appends up and no pacing cursor is a bound behind. It reports whether it blocked.
func (l *Log) wait() bool {
	if !l.full() {
		return false
	}
	l.waiting++
	if l.waiting == 1 && l.blocked != nil {
		l.blocked(true)
	}
	for l.full() {
		if l.sleep() && l.full() {
			l.budget.next()
		}
	}
	l.waiting--
	if l.waiting == 0 && l.blocked != nil {
		l.blocked(false)
	}
	return true
}

// sleep waits without the lock until an append may have become possible. It reports whether it was its turn to use what
// is free of the budget.
func (l *Log) sleep() (turn bool) {
	if l.room == nil {
		l.room = make(chan struct{})
	}
	room := l.room
	if l.held > 0 || l.head.charge-l.slowest() >= l.bound { // whatever the budget
		l.mu.Unlock()
		<-room
		l.mu.Lock()
		return false
	}
	t := l.budget.await()
	l.mu.Unlock()
	select {
	case <-room:
	case <-t.free:
	}
	turn = t.leave()
	l.mu.Lock()
	return turn
}

// stir makes those who wait look again.
func (l *Log) stir() {
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
}

// full reports whether an append has to wait.
func (l *Log) full() bool {
	return !l.free && (l.held > 0 || l.head.charge-l.slowest() >= l.share())
}

// share is what the log may hold now.
func (l *Log) share() int64 {
	if l.budget.Exceeded() {
		return min(l.bound, minShare)
	}
	return l.bound
}

// slowest is the charge at the slowest pacing cursor, or at the head where none paces.
func (l *Log) slowest() int64 {
	least := l.head.charge
	for _, c := range l.cursors {
		if c.paces {
			least = min(least, c.at.charge)
		}
	}
	return least
}
