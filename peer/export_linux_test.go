package peer

// Weaken is what Identify does on kernels without pidfds.
var Weaken = weakIdentity
