package ring

// Pause tells the CPU n times that this is a spin loop (PAUSE on amd64, YIELD
// on arm64): it gives way to the other hyperthread and leaves the cache lines
// alone for some 10 to 40 ns each time.
func Pause(n uint32) { pause(n) }
