// Package coderequirement lets policies of package peer check Apple code
// requirements, such as
//
//	anchor apple generic and certificate leaf[subject.OU] = "TEAMID"
//
// Import it for that effect:
//
//	import _ "github.com/sealport/sealport/peer/coderequirement"
//
// It is a separate package because it links Security.framework and CoreFoundation,
// which a program that only sends messages does not need. Without it
// [github.com/sealport/sealport/peer.CodeRequirement] cannot be evaluated and refuses. On
// other systems than Darwin the import has no effect, and such policies refuse as well.
package coderequirement
