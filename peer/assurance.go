package peer

// Attribute is a piece of knowledge about the process of an [Identity].
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

// Moment is when an attribute was true.
type Moment uint8

const (
	AtLook    Moment = iota // when it was looked up; for ids, when the identity was made
	AtHello                 // when the hello was sent
	AtConnect               // when the socket's end was made
	ForLife                 // as long as the process lives
)

// Assurance is how far an attribute can be relied on. docs/IDENTITY.md has the reasons.
type Assurance struct {
	// Kernel: the kernel vouches for it, rather than the peer itself, a file, or
	// a name service.
	Kernel bool

	// Moment is when it was true. Later it need not be.
	Moment Moment

	// PIDReuse: it cannot be about another process that got the same pid.
	PIDReuse bool

	// Exec: it cannot be about another program that the process ran before or
	// since. Where false, use attested connections or [Identity.Recheck].
	Exec bool
}

// Assurance returns how far an attribute of this identity can be relied on, not
// whether it is available. It makes no system call.
func (id *Identity) Assurance(a Attribute) Assurance {
	_, audited := id.proc.(tokenProcess)
	_, blind := id.proc.(nowhere)
	pinned := !blind && !id.byNumber // by pidversion or pidfd
	switch a {
	case AttributeIDs:
		if !id.byNumber && (audited || !id.ids.complete) {
			return Assurance{Kernel: true, Moment: AtHello, PIDReuse: true, Exec: audited}
		}
		return Assurance{Kernel: true, Moment: AtLook, PIDReuse: !id.byNumber, Exec: audited}
	case AttributeProcess:
		return Assurance{Kernel: true, Moment: ForLife, PIDReuse: !id.token.Weak() && !id.byNumber, Exec: audited}
	case AttributeGroups:
		if id.groups != nil { // kept by the socket itself, as is the label
			return Assurance{Kernel: true, Moment: AtConnect, PIDReuse: true}
		}
		return Assurance{Kernel: true, Moment: AtLook, PIDReuse: pinned}
	case AttributeExecutable, AttributeUnit:
		return Assurance{Kernel: true, Moment: AtLook, PIDReuse: pinned}
	case AttributePath, AttributeNames:
		return Assurance{Moment: AtLook, PIDReuse: pinned}
	case AttributeLabel:
		return Assurance{Kernel: true, Moment: AtConnect, PIDReuse: id.groups != nil}
	case AttributeSignature:
		return Assurance{Kernel: true, Moment: AtLook, PIDReuse: !id.byNumber, Exec: audited}
	}
	return Assurance{}
}
