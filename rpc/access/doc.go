// Package access describes who a caller is: its principal, its role, and the credential that it has
// presented. It knows nothing of how credentials are checked (package auth), nor of what a
// principal may do (package policy).
package access
