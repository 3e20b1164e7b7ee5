// Package coderequirement lets policies of package peer check Apple code
// requirements, such as
//
//	anchor apple generic and certificate leaf[subject.OU] = "TEAMID"
//
// Import it for that effect:
//
//	import _ "github.com/sealport/sealport/peer/coderequirement"
//
// It is a package of its own because it links Security.framework and
// CoreFoundation, which a program that only sends messages does not need. Without
// it peer.CodeRequirement can't be evaluated and so refuses. On other systems
// than Darwin it has no effect, and such policies refuse as well.
package coderequirement
