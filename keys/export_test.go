package keys

// CheapPassphrases makes Lock take next to nothing, for tests. It returns the
// function that undoes it.
func CheapPassphrases() (undo func()) {
	before := lockCost
	lockCost = cost{passes: 1, memory: 64, lanes: 1}
	return func() { lockCost = before }
}

// The parsers of files, for fuzzing.
var (
	ParseKeyFile    = func(content []byte) (PrivateKey, error) { return parseKeyFile(content, nil) }
	ParseAllowFile  = func(content []byte) (map[string][]PublicKey, error) { return parseTrustFile(content, parseAllowLine) }
	ParseKnownHosts = func(content []byte) (map[string][]PublicKey, error) { return parseTrustFile(content, parseKnownLine) }
)
