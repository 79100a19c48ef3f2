package stream

// DelayOutput makes appends of output wait until release is called, so that the output follows the
// events that are appended meanwhile. Events do not wait. Calls nest.
func (l *Log) DelayOutput() (release func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delays++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.delays--
		l.wakeAppenders()
	}
}

// resumeShare divides the bound of a log: an append that waits for a cursor is woken when that part
// of it is free. A process that writes faster than its client reads would otherwise be woken for
// each item that the client gets.
const resumeShare = 4

// wait blocks while the log is full. It reports whether it has blocked. It is called with the log's
// lock, which it releases while it waits.
func (l *Log) wait() (waited bool) {
	if !l.full() {
		return false
	}
	if l.saver != nil {
		l.saver.notify() // the share may be less than when something was appended last
	}
	l.appenders++
	if l.appenders == 1 && l.onBlocked != nil {
		l.onBlocked(true)
	}
	for l.full() {
		if l.waitOnce() && l.full() {
			l.account.grantNext()
		}
	}
	l.appenders--
	if l.appenders == 0 && l.onBlocked != nil {
		l.onBlocked(false)
	}
	return true
}

// waitOnce waits without the log's lock until an append may have become possible. It reports
// whether the budget granted it room; if the room is not used, the caller passes the grant on.
func (l *Log) waitOnce() (granted bool) {
	if l.wakeup == nil {
		l.wakeup = make(chan struct{})
	}
	wakeup := l.wakeup
	if l.delays > 0 || l.behind(l.bound) { // the budget makes no difference
		l.resumeBelow(l.bound)
		l.mu.Unlock()
		<-wakeup
		l.mu.Lock()
		return false
	}
	l.resumeBelow(minShare)
	w := l.account.enqueue()
	l.mu.Unlock()
	select {
	case <-wakeup:
	case <-w.granted:
	}
	granted = w.cancel()
	l.mu.Lock()
	return granted
}

// resumeBelow makes the appends wait until a log that may hold share has room for several.
func (l *Log) resumeBelow(share int64) {
	l.resumeAt = max(l.resumeAt, share-share/resumeShare)
	if v := l.saver; v != nil {
		v.resumeAt = max(v.resumeAt, maxBacklog(share)-block(share)/2)
	}
}

// wakeAppenders makes waiting appends check again whether the log is full.
func (l *Log) wakeAppenders() {
	if l.wakeup != nil {
		close(l.wakeup)
		l.wakeup, l.resumeAt = nil, 0
		if l.saver != nil {
			l.saver.resumeAt = 0
		}
	}
}

// cursorMoved wakes the waiting appends if a blocking cursor has made enough room.
func (l *Log) cursorMoved() {
	if l.wakeup != nil && l.unread() <= l.resumeAt {
		l.wakeAppenders()
	}
}

// full reports whether an append has to wait.
func (l *Log) full() bool {
	return !l.unblocked && (l.delays > 0 || l.behind(l.share()))
}

// behind reports whether a blocking cursor or the saver is too far behind, for a log that may hold
// share.
func (l *Log) behind(share int64) bool {
	return l.unread() >= share || l.saver.active() && l.saver.backlogCharge() >= maxBacklog(share)
}

// share returns how many charged bytes the log may hold now.
func (l *Log) share() int64 {
	if l.account.Exceeded() {
		return min(l.bound, minShare)
	}
	return l.bound
}

// unread returns how far the slowest blocking cursor is behind, in charged bytes.
func (l *Log) unread() int64 { return l.end.charge - l.slowest() }

// slowest returns the charge at the position of the slowest blocking cursor, or at the end of the
// log if there is none.
func (l *Log) slowest() int64 {
	least := l.end.charge
	for _, c := range l.cursors {
		if c.block {
			least = min(least, c.at.charge)
		}
	}
	return least
}
