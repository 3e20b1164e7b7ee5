//go:build !race

package handshake_test

// flipStride is the step between the bytes that TestEveryByteFlipIsRefused changes.
const flipStride = 1
