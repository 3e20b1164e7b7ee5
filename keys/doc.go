// Package keys holds the long-term identities of hosts and clients: X25519 key
// pairs, the files that store them, and the decision which keys to trust.
//
// # Kinds of keys
//
// Every process that uses package secure has a [PrivateKey] and gives its
// [PublicKey] to its peers. Their text forms cannot be confused:
//
//	sealport1…               a public key: lower case, not secret
//	SEALPORT-SECRET-KEY-1…   a private key: upper case, keep it secret
//	SEALPORT-LOCKED-KEY-1…   a private key encrypted under a passphrase
//	SEALPORT-PRESHARED-KEY-1…  a PresharedKey, as secret as a private key
//
// Each has a checksum that detects every single wrong, missing, additional or
// swapped character. To compare keys by eye or over the phone, use
// [PublicKey.Fingerprint].
//
// # Choosing a Trust
//
// A host that knows its clients lists them: use [OpenAllowFile] for a list that is
// edited while the host runs, and [Allow] for a list in the program. Removing a line
// ends the connections of that client within a second: package secure runs
// [AllowFile.Watch] while there are connections.
//
// A client that knows the host's key pins it: use [Pin]. A client that does not can
// still require that the key stays the same: [TrustOnFirstUse] accepts the first
// key that it sees at an endpoint and refuses every other key from then on. Prefer
// Pin where you can distribute keys.
//
// A Trust that refuses a key returns an [*UntrustedError], which has the whole key
// in the form that an allow file takes.
//
// # Guarantees
//
// Private keys are opaque: printing, logging or marshalling one never shows it;
// only [PrivateKey.RevealSecretText] does. Public keys are canonical and not of
// small order, so each identity has exactly one encoding, and no shared secret is
// predictable. Key and trust files that another user could have read or written
// are refused with an error that says why.
//
// # Limits
//
// Go cannot guarantee that no copy of a secret stays in memory: the runtime moves
// stacks, strings cannot be cleared, and crypto/ecdh keeps a copy of its own. This
// package clears the buffers that it owns. It does not protect against an attacker
// who can read this process's memory.
//
// File checks look at owners, mode bits and, on Linux, POSIX access control lists; not at
// the lists of Darwin, and not at who is in a group. Files work on Linux and Darwin; on
// other systems functions that use files return [errors.ErrUnsupported]. Keys in memory
// work everywhere.
//
// Others must not be able to create files in the directory of a key or trust file, so
// /tmp, /var/tmp and /dev/shm cannot have one: use a directory of your own below them. Nor
// can a file system that another user has mounted with FUSE. The servers of network file
// systems are trusted.
//
// # Services and containers
//
// A service manager can provide the key file: with LoadCredential= of systemd it is
// $CREDENTIALS_DIRECTORY/NAME, which belongs to root and which only the service can read.
// [LoadFile] accepts it as it is. Secrets of containers are often readable by a group or by
// everyone, and have to be accepted with [GroupMayRead] or [EveryoneMayRead]. No option
// accepts a file that others can write or replace.
//
// In a user namespace, as unshare -r, bubblewrap, flatpak and rootless containers make
// it, all users that it does not know look like one, 65534, and root is usually among
// them. Directories of such an owner are accepted on the way to a file, except in a
// directory in which others can create entries, such as /tmp. Here sealport cannot be
// sure: a directory of another user of the machine looks like root's. That user cannot
// make a file that is accepted, because a file must belong to this process's user or to
// root of the namespace, but can hide one, or put another file of this user in its
// place. So do not use paths through the directories of other users. Files of an unknown
// owner are refused, also root's in /etc: use a copy that belongs to the user. All this
// needs /proc; without it, only what belongs to users that the namespace knows is
// accepted.
//
// # File systems
//
// Files are written atomically and synced. If the path of a file that is replaced is a
// symbolic link, the file that it leads to is replaced. Where a file system cannot sync directories, a
// crash of the system may undo a change. Where it has neither hard links nor renames that
// do not replace (renameat2), new key files cannot be created. Where it does not keep
// owners and modes, as vfat, nothing is written unless it is mounted for this user only
// (uid=, umask=077).
//
// X25519, ChaCha20-Poly1305 and BLAKE2b are not part of the FIPS 140-3 module. In a
// program with GODEBUG=fips140=only, whatever takes or returns a private key, as text,
// bytes or file, returns [errors.ErrUnsupported] with this reason, except that Generate
// returns the zero key. Public keys, pre-shared keys and trust files work. With
// GODEBUG=fips140=on everything works.
//
// # Concurrency and blocking
//
// Everything in this package may be called concurrently, except
// [PublicKey.UnmarshalText]. Calls that block on the disk, on another process or on the
// user say so; all others return at once. Slices that are passed are not kept, and
// returned slices belong to the caller.
package keys
