package pidfd

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ErrUnproven means that a process could not be shown to descend from this one,
// which does not say that it does not.
var ErrUnproven = errors.New("pidfd: descent is not proven")

const (
	maxDepth    = 64 // generations; a chain of processes forking meanwhile must end
	maxAttempts = 8  // looks at one generation, whose parent may exit in between
)

// ProveDescent returns nil if the process was forked by this one, or by a
// process that was, and so on. That never changes, so there is no race in the
// answer; but a process whose parent has exited can't be proven any more.
//
// Each step shows that the parent's pid and its pidfd belonged together at one
// moment: the child named that pid before and after the pidfd was opened, and the pidfd
// lived afterwards. Orphans are adopted by the nearest subreaper among their
// ancestors, which keeps the chain true, or by the init of their pid namespace,
// which may be a stranger to them. So an init proves nothing, neither as this
// process nor within another pid namespace.
//
// Errors: ErrUnproven, ErrExited, and what kept it from looking.
func ProveDescent(fd int) error {
	if os.Getpid() == 1 {
		return fmt.Errorf("this process adopts the orphans of others: %w", ErrUnproven)
	}
	same, err := SamePIDNamespace(fd)
	if err != nil {
		return err
	}
	if !same {
		return fmt.Errorf("another pid namespace: %w", ErrUnproven)
	}
	self, err := Open(os.Getpid())
	if err != nil {
		return err
	}
	defer Close(self)
	own, err := Inode(self)
	if err != nil {
		return err
	}
	if own == 0 {
		return fmt.Errorf("no pidfs: %w", ErrUnproven)
	}
	child, err := Dup(fd)
	if err != nil {
		return err
	}
	defer func() { Close(child) }()
	for range maxDepth {
		parent, err := parentOf(child)
		if err != nil {
			return err
		}
		Close(child)
		child = parent
		inode, err := Inode(parent)
		if err != nil {
			return err
		}
		if inode == own {
			return nil
		}
	}
	return fmt.Errorf("more than %d generations: %w", maxDepth, ErrUnproven)
}

// parentOf returns a new pidfd for the parent of a living process.
func parentOf(child int) (int, error) {
	for range maxAttempts {
		before, err := GetInfo(child)
		if err != nil {
			return -1, err
		}
		if before.PPID == 0 {
			return -1, fmt.Errorf("the chain of parents ends elsewhere: %w", ErrUnproven)
		}
		parent, err := Open(int(before.PPID))
		if errors.Is(err, unix.ESRCH) {
			continue // exited: the child has another parent now
		}
		if err != nil {
			return -1, err
		}
		after, err := GetInfo(child)
		if err == nil && after.PPID == before.PPID && Alive(parent) == nil {
			return parent, nil
		}
		Close(parent)
		if err != nil {
			return -1, err
		}
	}
	return -1, fmt.Errorf("the parents exit too fast: %w", ErrUnproven)
}
