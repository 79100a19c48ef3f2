package wire

// Functions of the benchmarks, for the tests in package wire_test.
var (
	Lines        = lines
	Ratio        = ratio
	WriteRequest = writeRequest
)
