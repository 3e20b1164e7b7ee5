//go:build !unix

package main

import "errors"

func onlyOursToChange(string) error { return errors.ErrUnsupported }
