package keys_test

import (
	"testing"

	"github.com/sealport/sealport/internal/leaktest"
	"github.com/sealport/sealport/keys"
)

func TestMain(m *testing.M) {
	keys.CheapPassphrases()
	leaktest.Main(m)
}
