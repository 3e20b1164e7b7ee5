//go:build !linux && !darwin

package peer

import (
	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/peer/internal/peercred"
)

// Identify fails: this operating system's kernel is not supported.
func Identify(*cred.Credentials) (*Identity, error) { return nil, unsupported() }

// Self fails: this operating system's kernel is not supported.
func Self() (*Identity, error) { return nil, unsupported() }

func identifyConn(*peercred.Credentials) (*Identity, error) { return nil, unsupported() }

func identifyNumbered(int, int) (*Identity, error) { return nil, unsupported() }
