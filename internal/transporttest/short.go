//go:build !long

package transporttest

// long is whether the whole suite runs over every layer. Without the build tag long
// a secure layer leaves out what the plain one shows as well: see repeat and tests.
const long = false
