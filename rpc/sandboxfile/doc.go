// Package sandboxfile reads the file in which an operator defines profiles of sandboxes, and what no
// command in a sandbox may reach.
package sandboxfile
