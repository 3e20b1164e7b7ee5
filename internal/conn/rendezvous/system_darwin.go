package rendezvous

import "github.com/sealport/sealport/internal/link/mach"

// System returns the operating system's Carrier: Mach services.
func System() (Carrier, error) {
	k, err := mach.Open()
	if err != nil {
		return nil, err
	}
	return Mach(k), nil
}
