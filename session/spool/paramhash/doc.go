// Package paramhash computes a hash of the params of an execution with a secret key. The spool
// compares params by it without storing them: without the key, nobody can find out params by
// hashing guesses.
package paramhash
