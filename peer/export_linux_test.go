package peer

import (
	"context"
	"os"
)

// FileKey is what tells the versions of a file apart whose digest is cached.
func FileKey(f *os.File) (any, error) { return keyed{linuxFile{int(f.Fd())}}.Key() }

// DigestOf is what Identity.Digest does with the executable that it has opened.
func DigestOf(ctx context.Context, f *os.File, algorithm string) (Digest, error) {
	return digestOf(ctx, linuxFile{int(f.Fd())}, algorithm)
}

// Weaken is what Identify does on kernels without pidfds.
var Weaken = weakIdentity

// IdentifyConn is what FromConn does with the credentials that it got.
var IdentifyConn = identifyConn
