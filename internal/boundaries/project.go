package boundaries

// Project returns the rules of this project.
func Project() Rules {
	return Rules{
		Module: "github.com/sealport/sealport",
		// docs/ARCHITECTURE.md says what each is for. What is listed here and
		// does not exist yet does no harm.
		Layers: [][]string{
			// What knows nothing of the others.
			{
				"internal/bech32", "internal/boundaries", "internal/codesign", "internal/cred", "internal/ctxlock",
				"internal/filedigest", "internal/record", "internal/remember", "internal/safefile",
			},
			// Kernels, and helpers for tests of the layer below.
			{
				"internal/codesign/codesigntest", "internal/mach", "internal/pidfd", "internal/shmring",
				"internal/unixsock",
			},
			{
				"internal/link", "internal/mach/codesource", "internal/mach/security", "internal/machsim",
				"internal/pidfd/pidfdtest", "internal/priority",
			},
			// Carriers of frames, and the suite that all of them pass.
			{
				"internal/link/linktest", "internal/machlink", "internal/memlink",
				"internal/ringlink", "internal/socklink",
			},
			{"internal/message", "internal/rendezvous"},
			{"peer", "peer/coderequirement"},
			{"keys"},
			{"handshake"},
			{"internal/upgrade"}, // the seam between the next two
			{"transport"},
			// The suite that both of them pass; the carrier of secure's tests with Node.
			{"internal/transporttest", "internal/nodebridge"},
			{"secure"},
			{"rpc"},
			// What people run.
			{
				"cmd/sealport", "examples/hello", "examples/launchd", "examples/secure-helper",
				"internal/mach/machdemo",
			},
		},
		KernelFolder:  "internal",
		SystemModules: []string{"golang.org/x/sys"},
		NoWeb:         "transport",
		Web:           []string{"net/http", "crypto/tls", "crypto/x509"},
		Requires: []string{
			"github.com/flynn/noise",
			"github.com/stretchr/testify",
			"golang.org/x/crypto",
			"golang.org/x/sys",
		},
		TestOnly: []string{"github.com/stretchr/testify"},
	}
}
