package mcp

import "fmt"

// checkBounds returns how many messages a request has, and an error if a message over HTTP nests deeper than
// MaxNesting, has more than MaxValues values, or is a batch of more than MaxBatch messages. The SDK parses the
// inner values of a message once for each level around them, makes a Go value of each, and a goroutine for each
// message of a batch, so the size alone does not bound the time and the memory that a message takes. The grammar
// is checked by the SDK.
func checkBounds(text []byte) (messages int, err error) {
	messages = 1
	depth, values, batch, began := 0, 1, false, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		case '"':
			i = stringEnd(text, i)
		case '[', '{':
			batch = batch || !began && c == '['
			depth++
			values++
		case ']', '}':
			depth--
		case ',':
			values++
			if batch && depth == 1 {
				messages++
			}
		}
		began = true
		switch {
		case depth > MaxNesting:
			return 0, fmt.Errorf("the message nests deeper than %d levels", MaxNesting)
		case values > MaxValues:
			return 0, fmt.Errorf("the message has more than %d values", MaxValues)
		case messages > MaxBatch:
			return 0, fmt.Errorf("the batch has more than %d messages", MaxBatch)
		}
	}
	return messages, nil
}

// stringEnd returns the index of the quote that ends the string which begins at an index, or of the end of
// the text.
func stringEnd(text []byte, begin int) int {
	for i := begin + 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(text)
}
