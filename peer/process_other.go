//go:build !linux

package peer

// statFile fails: files are no identity here.
func statFile(string) (ExecutableFile, error) {
	return ExecutableFile{}, unavailable("executable")
}
