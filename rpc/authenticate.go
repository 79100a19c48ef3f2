package rpc

// CloseUnauthorized is the code of the close frame if the credential of a connection has expired or
// was revoked (RFC 6455 §7.4.2: codes from 4000 are for private use).
const CloseUnauthorized = 4401

// AuthenticateParams are the params of authenticate.
type AuthenticateParams struct {
	// A token of the same principal.
	Token string `json:"token" rpc:"required,nonempty"`
}

// AuthenticateResult is the result of authenticate: who the caller is from now on.
type AuthenticateResult struct {
	// The principal of the connection. It does not change.
	Principal string `json:"principal"`
	// The role of the new credential.
	Role string `json:"role" enum:"run,observe,admin"`
	// When the new credential expires (RFC 3339, UTC). It is left out if it does not expire.
	Expires string `json:"expires,omitempty"`
}
