package rpc

// ForgetParams are the params of forget.
type ForgetParams struct {
	// The session, by its id or its name. It must have ended.
	SessionID string `json:"session_id" rpc:"required,nonempty"`
}

// ForgetResult is the result of forget: the session does not exist any more. It has no members.
type ForgetResult struct{}
