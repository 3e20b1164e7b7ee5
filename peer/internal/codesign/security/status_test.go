package security_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sealport/sealport/peer/internal/codesign"
	"github.com/sealport/sealport/peer/internal/codesign/security"
)

func TestStatus(t *testing.T) {
	for _, code := range []security.Status{-67049, -67050, -67061, -67062} {
		assert.ErrorIs(t, code, codesign.ErrUnsatisfied)
		assert.NotErrorIs(t, code, codesign.ErrNoProcess)
	}
	assert.ErrorIs(t, security.Status(-67065), codesign.ErrNoProcess)
	for _, other := range []security.Status{-1, -67052, 1} {
		assert.NotErrorIs(t, other, codesign.ErrUnsatisfied)
		assert.NotErrorIs(t, other, codesign.ErrNoProcess)
	}
}

func TestUnsupportedElsewhere(t *testing.T) {
	if runtime.GOOS == "darwin" {
		t.Skip("needs a system without Security.framework")
	}
	err := security.CheckRequirement(context.Background(), [8]uint32{}, "anchor apple")
	assert.ErrorIs(t, err, errors.ErrUnsupported)
}
