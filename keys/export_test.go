package keys

import (
	"encoding/binary"

	"github.com/sealport/sealport/keys/internal/bech32"
)

// CheapPassphrases makes Lock take next to nothing, for tests. It returns the
// function that undoes it.
func CheapPassphrases() (undo func()) {
	before := lockCost
	lockCost = cost{passes: 1, memory: 64, lanes: 1}
	return func() { lockCost = before }
}

// EncodeLocked is the text of a locked key with this head and nothing behind it.
func EncodeLocked(version byte, passes, memory uint32, lanes byte) string {
	locked := make([]byte, lockedSize)
	locked[0], locked[9] = version, lanes
	binary.BigEndian.PutUint32(locked[1:], passes)
	binary.BigEndian.PutUint32(locked[5:], memory)
	return bech32.Encode(lockedPrefix, locked)
}

// ParseKeyFile is the parser of key files, for fuzzing.
func ParseKeyFile(content []byte) (PrivateKey, error) { return parseKeyFile(content, nil) }

// ParseAllowFile is the parser of allow-lists, for fuzzing.
func ParseAllowFile(content []byte) (map[string][]PublicKey, error) {
	return listed(parseTrustFile(content, parseAllowLine))
}

// ParseKnownHosts is the parser of known hosts, for fuzzing.
func ParseKnownHosts(content []byte) (map[string][]PublicKey, error) {
	return listed(parseTrustFile(content, parseKnownLine))
}

func listed(sets map[string]*keySet, err error) (map[string][]PublicKey, error) {
	lists := make(map[string][]PublicKey)
	for endpoint, set := range sets {
		lists[endpoint] = set.list()
	}
	return lists, err
}
