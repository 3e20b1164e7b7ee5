package main

import "errors"

// errOpen means that a file on which the helper's safety rests can be changed by
// other users.
var errOpen = errors.New("not safe from other users")
