package peer

import (
	"github.com/sealport/sealport/internal/remember"
	"github.com/sealport/sealport/peer/internal/pidfd"
)

// defaultOverflow is DEFAULT_OVERFLOWUID of linux/highuid.h.
const defaultOverflow = 65534

var (
	readOverflowUID = remember.Success(pidfd.OverflowUID)
	readOverflowGID = remember.Success(pidfd.OverflowGID)
)

// overflowUID is the user id that stands for users that do not exist in our user
// namespace.
func overflowUID() uint32 { return overflow(readOverflowUID()) }

// overflowGID is overflowUID for groups.
func overflowGID() uint32 { return overflow(readOverflowGID()) }

func overflow(n uint32, err error) uint32 {
	if err != nil {
		return defaultOverflow
	}
	return n
}
