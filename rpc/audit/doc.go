// Package audit writes the audit log: one line of JSON for each event, which docs/audit.md describes.
//
// A [Log] never blocks its callers: events are encoded into a bounded queue, from which one
// goroutine writes. Lines that do not fit are counted, and the count is written when there is room
// again. The methods of a nil *Log do nothing.
package audit
