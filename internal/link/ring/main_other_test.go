//go:build !linux

package ring_test

import (
	"testing"

	"github.com/sealport/sealport/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }
