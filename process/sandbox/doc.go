// Package sandbox defines what a command may reach: which files, which network destinations, which
// processes. It enforces nothing: package process does, by the mechanisms that a [Support] names,
// and says in a [Report] what it did.
//
// A [Config] is complete: every field has a value, and every path is absolute. A [Partial] is what a
// profile or a request has of one. [Profiles.Complete] makes a Config of a request, its profile and
// the floor of the server, which no request may exceed ([Config.Within]). Two floors are combined by
// [Config.Tighten].
//
// Nothing in this package uses the file system. Values are not changed once they are made, and may
// then be used concurrently.
package sandbox
