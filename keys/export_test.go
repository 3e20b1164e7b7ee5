package keys

import (
	"encoding/binary"

	"github.com/sealport/sealport/keys/internal/bech32"
)

// defaultCost is what Lock spends outside of tests.
var defaultCost = lockCost

// DefaultCost returns what Lock spends on a passphrase outside of tests.
func DefaultCost() (passes, memory uint32, lanes byte) {
	return defaultCost.passes, defaultCost.memory, defaultCost.lanes
}

// CheapPassphrases makes Lock take almost no time, for all tests.
func CheapPassphrases() { lockCost = cost{passes: 1, memory: 64, lanes: 1} }

// LockedCost returns what it takes to unlock text.
func LockedCost(text string) (passes, memory uint32, lanes byte, err error) {
	locked, err := bech32.Decode(lockedPrefix, text)
	if err != nil {
		return 0, 0, 0, err
	}
	return binary.BigEndian.Uint32(locked[1:]), binary.BigEndian.Uint32(locked[5:]), locked[9], nil
}

// EncodeLocked returns the text of a locked key with this head and zeros after it.
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
	return listed(parseTrustFile(content, allowFormat))
}

// ParseKnownHosts is the parser of known hosts, for fuzzing.
func ParseKnownHosts(content []byte) (map[string][]PublicKey, error) {
	return listed(parseTrustFile(content, knownFormat))
}

// AppendHost adds a line to known hosts.
func AppendHost(content []byte, endpoint string, key PublicKey) ([]byte, error) {
	return new(KnownHosts).appendHost(content, endpoint, key)
}

// RemoveHost removes the lines of an endpoint from known hosts.
var RemoveHost = removeHost

func listed(sets map[string]*keySet, err error) (map[string][]PublicKey, error) {
	lists := make(map[string][]PublicKey)
	for endpoint, set := range sets {
		lists[endpoint] = set.list()
	}
	return lists, err
}
