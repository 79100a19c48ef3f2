// Package policy decides what principals may execute, and how: programs and arguments, the shell,
// directories, environment, users, limits. docs/policy.md is the reference of its file.
//
// A decision has two parts. [Policy.Decide] needs no file system: it compares the decoded params
// with the policy, and completes the spec of the session. [Decision.Check] runs when the program
// and the directory are open, and compares these with the files that the policy names.
package policy
