package rpc

// InputState is what is known of who reads a session's stdin. WaitingForInput is true or nil, and Echo set for a terminal
// while the session lasts.
type InputState struct {
	WaitingForInput *bool `json:"waiting_for_input"`
	Echo            *bool `json:"echo,omitempty"`
}

// StatusResult is the result of status.
type StatusResult struct {
	SessionStatus
	InputState
}
