package coderequirement

import (
	"github.com/sealport/sealport/internal/mach/codesource"
	"github.com/sealport/sealport/internal/mach/security"
)

func init() { codesource.SetChecker(security.CheckRequirement) }
