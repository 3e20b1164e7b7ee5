// Package security asks Security.framework whether a running process meets a
// code requirement. It is a package of its own because importing it links
// Security.framework and CoreFoundation, and package mach below it only
// libSystem. Elsewhere than on Darwin it compiles and returns errors.ErrUnsupported.
//
// Calls are made as in package mach: dynamic imports and trampolines, no cgo.
package security
