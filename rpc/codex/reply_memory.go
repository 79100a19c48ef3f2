package codex

const (
	// maxReplyMemory is what the large replies of all connections take in bytes: while they are made, and
	// then until they are written.
	maxReplyMemory = 384 << 20
	// maxReplyMemoryOfPrincipal is the share of one principal. The reply with the largest file fits in.
	maxReplyMemoryOfPrincipal = 160 << 20

	// blockCost is the memory for a process/read or fs/readBlock: at most 1 MiB of data and its base64.
	blockCost = 4 << 20
	// listCost is the memory for a list of files: its names, and their JSON twice.
	listCost = 64 << 20
	// minFileCost is the least memory for a fs/readFile, since files of /proc have no size.
	minFileCost = 64 << 10
)

// fileCost returns the memory for a file of so many bytes: its data, and its base64 in the frame.
func fileCost(size int64) int64 { return size + (size+2)/3*4 + minFileCost }
