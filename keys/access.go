package keys

import (
	"fmt"
	"math"

	"github.com/sealport/sealport/keys/internal/safefile"
)

// Access is who may read a key file besides the user of this process and root. A key
// that others can read is theirs too, so it is for files that a service manager or a
// container provides, and which its program cannot change:
//
//	// A volume of Kubernetes with fsGroup 2000.
//	key, err := keys.LoadFile("/etc/greeter/key", nil, keys.GroupMayRead(2000))
//
// No Access lets others write a file or replace it.
type Access struct {
	access safefile.Access
}

// GroupMayRead accepts key files that the members of a group can read. It panics if gid
// is not the ID of a group.
func GroupMayRead(gid int) Access {
	if gid < 0 || int64(gid) >= math.MaxUint32 {
		panic(fmt.Sprintf("keys: %d is not the ID of a group", gid))
	}
	return Access{safefile.GroupMayRead(uint32(gid))}
}

// EveryoneMayRead accepts key files that every user can read. It is for containers in
// which no other user runs anything, and whose files come with mode 0444 or 0644.
func EveryoneMayRead() Access { return Access{safefile.EveryoneMayRead()} }

// accesses unwraps a list. The zero Access accepts nothing.
func accesses(accepted []Access) []safefile.Access {
	list := make([]safefile.Access, len(accepted))
	for i, a := range accepted {
		list[i] = a.access
	}
	return list
}
