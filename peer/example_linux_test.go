package peer_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealport/sealport/peer"
)

// A policy reads as it is written.
func ExampleAllOf() {
	policy := peer.AllOf(
		peer.AnyOf(peer.SameUser(), peer.Root()),
		peer.Not(peer.Unit("guests.service")),
		peer.Executable("/usr/bin/example"),
	)
	fmt.Println(policy)
	fmt.Println(peer.Validate(peer.AllOf(peer.SameUser(), peer.Executable("example"))))
	// Output:
	// AllOf(AnyOf(SameUser, Root), Not(Unit("guests.service")), Executable("/usr/bin/example"))
	// unusable policy: AllOf: Executable("example"): the path is not absolute
}

// What a rule cannot find out it refuses, and so does its opposite.
func ExampleCheck() {
	id, err := peer.Self()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer id.Close()
	ctx := context.Background()
	fmt.Println("program:", peer.Check(ctx, peer.Not(peer.Executable("/dev/null")), id))

	err = peer.Check(ctx, peer.Not(peer.TeamID("ABCDE12345")), id)
	var refused *peer.RefusedError
	if errors.As(err, &refused) {
		fmt.Println("refused by", refused.Rule)
		fmt.Println("because", refused.Reason)
	}
	// Output:
	// program: <nil>
	// refused by Not(TeamID("ABCDE12345"))
	// because Not(TeamID("ABCDE12345")): TeamID("ABCDE12345"): code signature not available on linux
}

// A process says who it is as its peers see it.
func ExampleSelf() {
	id, err := peer.Self()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer id.Close()
	fmt.Println(id.Alive(), len(id.Token().Bytes()))
	// Output: <nil> 32
}

func ExampleParseDigest() {
	d, err := peer.ParseDigest("sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855")
	fmt.Println(d, err)
	// Output: sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 <nil>
}
