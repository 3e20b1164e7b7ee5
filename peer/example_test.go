package peer_test

import (
	"fmt"
	"strings"

	"github.com/sealport/sealport/peer"
)

func ExampleParseDigest() {
	d, err := peer.ParseDigest("sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855")
	fmt.Println(d, err)
	// Output: sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 <nil>
}

func ExampleTokenFromWords() {
	fmt.Println(peer.TokenFromWords([8]uint32{501, 501, 20, 501, 20, 4711, 100012, 65}))
	// Output: pid=4711 version=65 euid=501 egid=20 ruid=501 rgid=20 auid=501 asid=100012
}

func ExampleDefault() {
	fmt.Println(peer.Default())
	// Output: AnyOf(SameUser, Root)
}

func ExampleValidate() {
	fmt.Println(peer.Validate(peer.UIDs()))
	fmt.Println(peer.Validate(nil))
	// Output:
	// peer: unusable policy: UIDs(): nothing to compare with
	// <nil>
}

func ExampleSameUser() {
	fmt.Println(peer.AllOf(peer.SameUser(), peer.Executable("/usr/bin/example")))
	// Output: AllOf(SameUser, Executable("/usr/bin/example"))
}

func ExampleRoot() {
	fmt.Println(peer.AnyOf(peer.Root(), peer.UIDs(1000)))
	// Output: AnyOf(Root, UIDs(1000))
}

func ExampleUIDs() {
	fmt.Println(peer.UIDs(1000, 1001))
	// Output: UIDs(1000, 1001)
}

func ExampleUsers() {
	fmt.Println(peer.Users("www-data", "backup"))
	// Output: Users("www-data", "backup")
}

func ExampleGIDs() {
	fmt.Println(peer.GIDs(27))
	// Output: GIDs(27)
}

func ExampleGroups() {
	fmt.Println(peer.AllOf(peer.Groups("sudo"), peer.Not(peer.Root())))
	// Output: AllOf(Groups("sudo"), Not(Root))
}

func ExampleLabel() {
	fmt.Println(peer.Label("system_u:system_r:httpd_t:s0"))
	// Output: Label("system_u:system_r:httpd_t:s0")
}

func ExampleUnit() {
	fmt.Println(peer.AllOf(peer.Root(), peer.Unit("cups.service")))
	// Output: AllOf(Root, Unit("cups.service"))
}

// A program talks only to the helpers that it has started.
func ExampleDescendant() {
	fmt.Println(peer.AllOf(peer.SameUser(), peer.Descendant()))
	// Output: AllOf(SameUser, Descendant)
}

// On Darwin, only the team's own program with the hardened runtime may connect.
func ExampleTeamID() {
	fmt.Println(peer.AllOf(peer.TeamID("ABCDE12345"), peer.SigningID("com.example.app"), peer.HardenedRuntime(), peer.NotDebuggable()))
	// Output: AllOf(TeamID("ABCDE12345"), SigningID("com.example.app"), HardenedRuntime, NotDebuggable)
}

// Identifiers are unique only among the programs of one signer.
func ExampleSigningID() {
	fmt.Println(peer.AllOf(peer.PlatformBinary(), peer.SigningID("com.apple.ls")))
	// Output: AllOf(PlatformBinary, SigningID("com.apple.ls"))
}

func ExampleCDHash() {
	fmt.Println(peer.Validate(peer.CDHash(strings.Repeat("0a", 20))))
	fmt.Println(peer.Validate(peer.CDHash("0a")))
	// Output:
	// <nil>
	// peer: unusable policy: CDHash("0a"): peer: malformed digest: cdhash "0a" is not 20 bytes in hexadecimal
}

func ExamplePlatformBinary() {
	fmt.Println(peer.PlatformBinary())
	// Output: PlatformBinary
}

func ExampleHardenedRuntime() {
	fmt.Println(peer.AllOf(peer.TeamID("ABCDE12345"), peer.HardenedRuntime()))
	// Output: AllOf(TeamID("ABCDE12345"), HardenedRuntime)
}

func ExampleNotDebuggable() {
	fmt.Println(peer.AllOf(peer.TeamID("ABCDE12345"), peer.NotDebuggable()))
	// Output: AllOf(TeamID("ABCDE12345"), NotDebuggable)
}

func ExampleCodeRequirement() {
	fmt.Println(peer.CodeRequirement("anchor apple"))
	// Output: CodeRequirement("anchor apple")
}

func ExampleAnyone() {
	fmt.Println(peer.Anyone())
	// Output: Anyone
}

func ExampleAnyOf() {
	fmt.Println(peer.AnyOf(peer.SameUser(), peer.Groups("admin")))
	// Output: AnyOf(SameUser, Groups("admin"))
}

func ExampleNot() {
	fmt.Println(peer.AllOf(peer.SameUser(), peer.Not(peer.Executable("/bin/sh"))))
	// Output: AllOf(SameUser, Not(Executable("/bin/sh")))
}
