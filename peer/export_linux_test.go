package peer

// Weaken is what Identify does on kernels without pidfds.
var Weaken = weakIdentity

// IdentifyConn is what FromConn does with the credentials that it got.
var IdentifyConn = identifyConn
