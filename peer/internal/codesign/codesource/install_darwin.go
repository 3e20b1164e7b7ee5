package codesource

import "github.com/sealport/sealport/peer/internal/codesign"

func init() { codesign.Install(Source{}) }
