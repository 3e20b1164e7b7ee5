//go:build race

package handshake_test

// flipStride is the step between the bytes that TestEveryByteFlipIsRefused changes:
// the race detector makes X25519 twenty times slower, so under it a sample must
// do. Without it every byte is changed.
const flipStride = sampleStride
