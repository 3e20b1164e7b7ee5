package leaktest

import "time"

// SetSettleTime is for tests that leave something behind. restore undoes it.
func SetSettleTime(d time.Duration) (restore func()) {
	before := settleTime
	settleTime = d
	return func() { settleTime = before }
}
