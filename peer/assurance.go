package peer

// Attribute is something that an Identity can tell.
type Attribute uint8

// The attributes, by the methods that return them.
const (
	AttributeIDs        Attribute = iota // Token: user and group ids
	AttributeProcess                     // Token and Binding: which process
	AttributeGroups                      // Groups
	AttributeNames                       // UserName, GroupName
	AttributePath                        // Executable: the path
	AttributeExecutable                  // Executable: device and inode; Digest
	AttributeLabel                       // Label
	AttributeUnit                        // Cgroup, Unit
	AttributeSignature                   // CodeSignature
)

// Moment says when an attribute was true.
type Moment uint8

const (
	AtLook    Moment = iota // when it was asked for
	AtHello                 // when the hello was sent
	AtConnect               // when the socket's end was made
	ForLife                 // as long as the process lives
)

// Assurance says what an attribute is worth. docs/IDENTITY.md has the reasons.
type Assurance struct {
	// Kernel: the kernel vouches for it, rather than the peer itself, a file, or
	// a name service.
	Kernel bool

	// Moment is when it was true. At any later time it need not be.
	Moment Moment

	// PIDReuse: it cannot be about another process that got the same pid.
	PIDReuse bool

	// Exec: it cannot be about another program that the process ran before or
	// since. Where false, only attested connections or Recheck help.
	Exec bool
}

// Assurance says what an attribute of this identity is worth. It says nothing of
// whether the attribute can be had.
func (id *Identity) Assurance(a Attribute) Assurance {
	_, audited := id.proc.(tokenProcess)
	_, blind := id.proc.(nowhere)
	pinned := audited || !blind // by pidversion or pidfd
	switch a {
	case AttributeIDs:
		if audited || !id.ids.complete {
			return Assurance{Kernel: true, Moment: AtHello, PIDReuse: true, Exec: audited}
		}
		return Assurance{Kernel: true, Moment: AtLook, PIDReuse: true}
	case AttributeProcess:
		return Assurance{Kernel: true, Moment: ForLife, PIDReuse: !id.token.Weak(), Exec: audited}
	case AttributeGroups, AttributeExecutable, AttributeUnit:
		return Assurance{Kernel: true, Moment: AtLook, PIDReuse: pinned}
	case AttributePath, AttributeNames:
		return Assurance{Moment: AtLook, PIDReuse: pinned}
	case AttributeLabel:
		return Assurance{Kernel: true, Moment: AtConnect}
	case AttributeSignature:
		return Assurance{Kernel: true, Moment: AtLook, PIDReuse: true, Exec: audited}
	}
	return Assurance{}
}
