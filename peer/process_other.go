//go:build !linux

package peer

// statFile fails: executables are not compared here.
func statFile(string) (ExecutableFile, error) {
	return ExecutableFile{}, unavailable("executable")
}
