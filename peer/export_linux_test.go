package peer

import "os"

// FileKey is what tells the versions of a file apart whose digest is cached.
func FileKey(f *os.File) (any, error) { return keyed{linuxFile{int(f.Fd())}}.Key() }

// Weaken is what Identify does on kernels without pidfds.
var Weaken = weakIdentity

// IdentifyConn is what FromConn does with the credentials that it got.
var IdentifyConn = identifyConn
