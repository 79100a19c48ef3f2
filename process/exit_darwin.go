package process

const maxrssUnit = 1 // getrusage(2): ru_maxrss is in bytes
