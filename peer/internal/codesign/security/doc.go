// Package security asks Security.framework whether a running process meets a
// code requirement. It is a package of its own because importing it links
// Security.framework and CoreFoundation, and package mach below it only
// libSystem. Elsewhere than on Darwin it compiles and says that it can't.
//
// The calls go the way of package mach: dynamic imports and trampolines, no cgo.
package security
