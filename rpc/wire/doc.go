// Package wire reads and writes the JSON text of JSON-RPC 2.0 messages: it parses the envelope of
// messages, decodes params into Go types, and escapes and unescapes strings. It does not depend on
// Runnel's methods.
//
// It is for the packages of this module; its API may change at any time.
package wire
