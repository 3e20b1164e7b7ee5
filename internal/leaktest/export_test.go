package leaktest

import "time"

// SetSettleTime is for tests that leave something behind.
func SetSettleTime(d time.Duration) { settleTime = d }
