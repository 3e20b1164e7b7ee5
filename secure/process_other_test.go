//go:build !linux

package secure_test

func play(string) {}
