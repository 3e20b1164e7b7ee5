package safefile_test

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/keys/internal/safefile"
)

// TestOtherUsersMount is a FUSE file system of another user, who says that all in it is
// root's.
func TestOtherUsersMount(t *testing.T) {
	if !insideMounts(t) {
		return
	}
	for _, tc := range []struct {
		user   int
		reader *syscall.SysProcAttr // of a process of service, or nil for root
		want   string
	}{
		{0, nil, "ok"},
		{alien, nil, "ErrInsecure"},
		{0, as(service, service), "ok"},
		{service, as(service, service), "ok"},
		{alien, as(service, service), "ErrInsecure"},
		{alien, mapped(0, service, 1, 0), "ok"}, // the number of another namespace
	} {
		w := startWriter(t, tc.reader)
		s := &fuseFS{user: tc.user}
		unmount := s.mount(t, inside())
		s.put("key", "old")
		if tc.reader != nil {
			s.change("key", func(n *fuseNode) { n.uid = service })
		}
		got := w.do(t, "read", filepath.Join(inside(), "key"))
		require.Contains(t, got, tc.want, "%+v", tc)
		if tc.want != "ok" {
			require.Contains(t, w.do(t, "replace", filepath.Join(inside(), "key")), tc.want)
			require.Contains(t, w.do(t, "mkdir", filepath.Join(inside(), "below")), tc.want)
		}
		_, _, names := s.content("key")
		unmount()
		w.stop(t)
		require.Equal(t, 1, names)
	}
}

// FuzzMountedBy has tables that no kernel writes.
func FuzzMountedBy(f *testing.F) {
	const table = "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n" +
		"36 22 0:44 / /tmp/a\\040b rw,nosuid shared:1 - fuse.sshfs me@there: rw,user_id=1000,group_id=1000,allow_other\n" +
		"37 22 0:45 / /mnt rw - virtiofs user_id=7 rw\n" +
		"38 22 0:46 / /x rw - fuse user_id=7\n" +
		"39 22 0:46 / /x rw - fuse x rw,user_id=-1,user_id=8\n" +
		"\n40 22\n41 22 - fuse x user_id=9\n42 22 0:48 - fuse x user_id=9\n43 22 0:49 / /x rw\n44 22 0:49 / /x rw - \n" +
		"45 22 0:49 / /x rw - fuse x 12,rw\n46 22 0:49 / /x rw - fuse x user_id=10\n"
	for minor, user := range map[uint32]uint32{44: 1000, 45: 0, 46: 7, 47: 0, 48: 9, 49: 10} {
		require.Equal(f, user, safefile.MountedBy(table, 0, minor))
		f.Add(table, uint32(0), minor)
	}
	f.Fuzz(func(t *testing.T, table string, major, minor uint32) {
		user := safefile.MountedBy(table, major, minor)
		line := fmt.Sprintf("1 1 %d:%d / / rw - fuse x rw,user_id=%d\n", major, minor, user)
		require.Equal(t, user, safefile.MountedBy(line+table, major, minor))
	})
}
