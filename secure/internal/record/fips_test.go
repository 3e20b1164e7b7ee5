package record_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/fips/fipstest"
	"github.com/sealport/sealport/secure/internal/record"
)

// A connection that a program has allowed itself by fips140.WithoutEnforcement replaces
// its keys in goroutines of which that is not true.
func TestRekeyWithFIPSOnly(t *testing.T) {
	if !fipstest.Child(fipstest.Only) {
		fipstest.Run(t, fipstest.Only, "TestRekeyWithFIPSOnly")
		return
	}
	key := [record.KeySize]byte{1}
	sealer, opener := record.NewSealer(&key), record.NewOpener(&key)
	for range 2 {
		rec, err := sealer.Seal(nil, record.Rekey, nil, nil)
		require.NoError(t, err)
		sealer.Sent()
		sealer.Rekey()
		_, _, err = opener.Open(nil, rec)
		require.NoError(t, err)
	}
}
