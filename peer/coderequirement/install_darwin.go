package coderequirement

import (
	"github.com/sealport/sealport/peer/internal/codesign/codesource"
	"github.com/sealport/sealport/peer/internal/codesign/security"
)

func init() { codesource.SetChecker(security.CheckRequirement) }
