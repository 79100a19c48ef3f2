// Package auth identifies the callers of a server: a [Chain] asks its sources, each of which knows
// one kind of credential, who the bearer of a credential is. A Chain implements
// server.Authenticator.
package auth
