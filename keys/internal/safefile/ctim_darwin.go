package safefile

import "syscall"

func ctim(st *syscall.Stat_t) *syscall.Timespec { return &st.Ctimespec }
