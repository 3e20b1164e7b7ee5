package bech32

// EncodeGroups makes text with a good checksum of groups that Encode would not make.
var EncodeGroups = encodeGroups
