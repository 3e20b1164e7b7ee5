//go:build !linux

package safefile

import "os"

// The lists of Darwin are not read; see the package comment.

func fileACL(*os.File) ([]byte, error) { return nil, nil }
func pathACL(string) ([]byte, error)   { return nil, nil }
