// Package sandbox defines what a command may reach: which files, which network destinations, which
// processes. It enforces nothing: package process does, by the mechanisms that a [Support] names,
// and says in a [Report] what it did.
//
// A [Config] is complete: every field has a value, and every path is absolute. Profiles, requests
// and the floor of a server are combined into one by [Config.Tighten] and [Profiles].
package sandbox
