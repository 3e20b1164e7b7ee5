//go:build !linux

package conn_test

// carrierHasDirectory is whether endpoints are files.
const carrierHasDirectory = false
