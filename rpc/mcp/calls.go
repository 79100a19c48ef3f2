package mcp

import "sync"

// callID identifies a call in progress.
type callID struct{ host, request string }

// calls are the calls in progress that another request can cancel. There are at most as many as the server
// has connections. The methods may be called concurrently.
type calls struct {
	mu         sync.Mutex
	inProgress map[callID]*func()
}

// add adds a call, which end cancels. done removes it.
func (c *calls) add(id callID, end func()) (done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inProgress == nil {
		c.inProgress = make(map[callID]*func())
	}
	own := &end
	c.inProgress[id] = own // a host that uses an id twice at a time cancels the newest
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.inProgress[id] == own {
			delete(c.inProgress, id)
		}
	}
}

// cancel cancels a call, if it is in progress.
func (c *calls) cancel(id callID) {
	c.mu.Lock()
	end := c.inProgress[id]
	c.mu.Unlock()
	if end != nil {
		(*end)()
	}
}
