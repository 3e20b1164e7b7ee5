package peer

import (
	"sync"

	"github.com/sealport/sealport/internal/pidfd"
)

// defaultOverflow is DEFAULT_OVERFLOWUID of linux/highuid.h.
const defaultOverflow = 65534

// overflowUID is the user id that stands for those who do not exist in our user
// namespace, as it was when first asked.
var overflowUID = sync.OnceValue(func() uint32 { return overflow(pidfd.OverflowUID()) })

// overflowGID is overflowUID for groups.
var overflowGID = sync.OnceValue(func() uint32 { return overflow(pidfd.OverflowGID()) })

func overflow(n uint32, err error) uint32 {
	if err != nil {
		return defaultOverflow
	}
	return n
}
