package codex

import "encoding/json"

type initializeParams struct {
	ClientName      string  `json:"clientName"`
	ResumeSessionID *string `json:"resumeSessionId"`
}

type initializeResult struct {
	SessionID       string      `json:"sessionId"`
	EnvironmentInfo *infoResult `json:"environmentInfo"`
}

// initialize makes the client session of the connection, or resumes one.
func (c *conn) initialize(raw json.RawMessage) (*initializeResult, error) {
	if c.session != nil {
		return nil, invalidRequest("initialize may only be sent once per connection")
	}
	p, err := decode[initializeParams](raw)
	if err != nil {
		return nil, err
	}
	if id := p.ResumeSessionID; id != nil && *id != "" {
		c.session, err = c.handler.resume(c, *id)
	} else {
		c.session, err = c.handler.create(c)
	}
	if err != nil {
		return nil, err
	}
	return &initializeResult{c.session.id, c.info()}, nil
}
