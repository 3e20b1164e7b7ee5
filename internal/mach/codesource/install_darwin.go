package codesource

import "github.com/sealport/sealport/internal/codesign"

func init() { codesign.Install(Source{}) }
