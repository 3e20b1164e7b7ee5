// Package keys holds the long-term identities of hosts and clients: X25519 key
// pairs, the files they live in, and the decision whom to trust.
//
// # Which key is which
//
// Every process that uses package secure has a PrivateKey and gives others the
// PublicKey that belongs to it. As text they can't be confused:
//
//	sealport1…               a public key: lower case, give it to anyone
//	SEALPORT-SECRET-KEY-1…   a private key: upper case, give it to nobody
//	SEALPORT-LOCKED-KEY-1…   a private key under a passphrase
//
// (A PresharedKey, for those who use one, is SEALPORT-PRESHARED-KEY-1… and as
// secret as a private key.) All of them carry a checksum that finds every single wrong, missing, additional
// or swapped character. For a comparison by eye or on the phone there is
// PublicKey.Fingerprint.
//
// # Which trust to choose
//
// A host that knows its clients lists them: AllowFile for a list that is edited
// while it runs (removing a line ends that client's connections, if Watch runs),
// Allow for a list in the program. A client that was told the host's key pins it: Pin. A
// client that was told nothing can at least insist that the host stays the same:
// TrustOnFirstUse, which believes the first key it sees for an endpoint and
// refuses any other from then on. Prefer Pin where you can hand out keys.
//
// # What this package guarantees
//
// Private keys are opaque: no way of printing, logging or marshalling one shows
// it, except PrivateKey.RevealSecretText. Public keys are canonical and not of
// small order, so each identity has exactly one encoding and no shared secret is
// predictable. Key and trust files are refused, with an error that says why, if
// another user could have read or written them.
//
// # What it does not
//
// Go can't guarantee that a secret leaves no copy in memory: the runtime moves
// stacks, strings can't be cleared and crypto/ecdh keeps its own copy. This package
// clears the buffers that it can reach; against a reader of this process's memory
// it does not protect. File
// checks look at owners and mode bits, not at access control lists. Files work
// on Linux and Darwin; elsewhere they return errors.ErrUnsupported, and keys in
// memory work everywhere.
package keys
