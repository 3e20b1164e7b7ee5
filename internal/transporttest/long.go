//go:build long

package transporttest

// long is whether the whole suite runs over every layer.
const long = true
