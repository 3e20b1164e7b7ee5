package peercred

// WithoutPIDFD is what Get does where SO_PEERPIDFD fails: on kernels that do not have it,
// and for processes that have exited.
var WithoutPIDFD = withoutPIDFD
