package codesource_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sealport/sealport/peer/internal/codesign"
	"github.com/sealport/sealport/peer/internal/codesign/codesource"
)

func TestSource(t *testing.T) {
	var s codesource.Source
	token := [8]uint32{5: 1}
	assert.ErrorIs(t, s.CheckRequirement(t.Context(), token, "anchor apple"), codesource.ErrNoRequirements)
	codesource.SetChecker(func(_ context.Context, got [8]uint32, requirement string) error {
		assert.Equal(t, token, got)
		assert.Equal(t, "anchor apple", requirement)
		return codesign.ErrUnsatisfied
	})
	assert.ErrorIs(t, s.CheckRequirement(t.Context(), token, "anchor apple"), codesign.ErrUnsatisfied)

	if runtime.GOOS == "darwin" {
		assert.Equal(t, codesource.Source{}, codesign.Installed())
		return
	}
	assert.Nil(t, codesign.Installed(), "no kernel reports signatures here")
	assert.ErrorIs(t, s.Csops(codesign.OpStatus, token, make([]byte, 4)), errors.ErrUnsupported)
	_, err := s.SelfToken()
	assert.ErrorIs(t, err, errors.ErrUnsupported)
}
