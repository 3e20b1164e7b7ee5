// Package mach speaks to the Mach part of the Darwin kernel: ports, rights,
// port sets, messages, notifications, out-of-line memory, audit tokens and the
// bootstrap name service.
//
// It has two halves. The portable half knows the layout of every structure that
// crosses the kernel boundary (message headers, descriptors, trailers,
// notifications, code-signing blobs) and the rules of ownership of rights; it
// is plain Go on byte slices and is tested on any system. The Darwin half calls
// libSystem without cgo and is as thin as can be. Between the two stands the
// interface Kernel, which package machtest implements as well, so that everything
// above can be run, and made to fail, without a Mac.
//
// Guarantees: no cgo; of Apple's libraries only libSystem is linked (code
// requirements, which need Security.framework, are in package security below
// this one); nothing read from a message is trusted before it is checked.
//
// Not for: anything that needs callbacks or Blocks (dispatch, XPC objects).
//
// Layouts and constants are those of xnu's osfmk/mach/{message,port,notify,
// kern_return}.h for LP64 tasks. Both Darwin architectures of Go are little
// endian; the portable half encodes little endian everywhere.
package mach
