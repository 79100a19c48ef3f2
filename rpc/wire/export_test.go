package wire

// Helpers of the benchmarks for the tests of package wire_test.
var (
	Lines        = lines
	Ratio        = ratio
	WriteRequest = writeRequest
)
