package stream

// savePoint is where a [Saver] continues.
type savePoint struct {
	at     position
	number int64    // of the entry that contains at, or of the one before
	lent   *segment // of the newest item
}

// next returns what follows, at most n bytes of output.
func (p *savePoint) next(l *Log, n int64) (Item, bool) {
	p.release()
	if p.at.seq < l.oldest.seq {
		return p.takeGap(l), true
	}
	for p.number = max(p.number, l.base); p.number < l.base+int64(l.entries.len()); p.number++ {
		if e := l.entries.at(int(p.number - l.base)); p.at.seq < e.end().seq {
			return p.take(e, n), true
		}
		if p.number == l.base+int64(l.entries.len())-1 {
			break // it may grow
		}
	}
	return Item{}, false
}

// take returns the rest of e, at most n bytes of output.
func (p *savePoint) take(e *entry, n int64) Item {
	end := e.end()
	it := Item{From: p.at.seq, To: end.seq, Kind: e.kind, Event: e.event, Truncated: e.truncated, Dropped: e.dropped}
	if e.kind != Event {
		it.Data = e.data[p.at.seq-e.at.seq:]
		p.lent = e.segment.retain()
		if int64(len(it.Data)) > n {
			it.Data = it.Data[:cutLength(it.Data, int(n))]
			it.To = it.From + int64(len(it.Data))
			if it.To < end.seq { // the flags are those of the last part
				it.Truncated, it.Dropped = false, 0
				end = e.inside(it.To)
			}
		}
	}
	p.at = end
	return it
}

// moveTo moves p to a position that is not before the oldest one.
func (p *savePoint) moveTo(l *Log, at position) {
	p.at = at
	p.number = l.base + int64(max(0, min(l.find(at.seq), l.entries.len()-1)))
}

func (p *savePoint) takeGap(l *Log) Item {
	it := Item{From: p.at.seq, To: l.oldest.seq, Gap: true, Spool: true}
	it.Lost = it.To - it.From - (l.oldest.events - p.at.events)
	p.at, p.number = l.oldest, l.base
	return it
}

func (p *savePoint) release() {
	p.lent.release()
	p.lent = nil
}
