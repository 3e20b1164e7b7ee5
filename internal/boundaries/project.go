package boundaries

// Project returns the rules of this project.
func Project() Rules {
	return Rules{
		Module: "github.com/sealport/sealport",
		// docs/ARCHITECTURE.md says what each is for.
		Layers: [][]string{
			// Packages that import none of the others.
			{
				"internal/boundaries", "internal/conn/fair", "internal/cred", "internal/ctxlock", "internal/fips", "internal/fips/fipstest", "internal/leaktest",
				"internal/link/memfd",
				"internal/remember", "keys/internal/bech32", "keys/internal/safefile",
				"peer/internal/codesign", "peer/internal/filedigest", "secure/internal/record",
			},
			// Kernels, and the interface of carriers.
			{
				"internal/link", "internal/link/mach",
				"peer/internal/codesign/codesigntest", "peer/internal/pidfd",
			},
			{
				"internal/link/linktest", "internal/link/mach/machtest", "internal/link/socket", "internal/wire",
				"peer/internal/codesign/codesource", "peer/internal/codesign/security", "peer/internal/peercred",
				"peer/internal/pidfd/pidfdtest", "transport/internal/priority",
			},
			// Carriers of frames.
			{"internal/link/mach/machlink", "internal/link/ring"},
			{"internal/link/mach/machlink/machlinktest", "internal/link/mem"},
			{"internal/conn/message", "internal/conn/rendezvous"},
			{"peer", "peer/coderequirement"},
			{"keys"},
			{"handshake"},
			{"internal/conn"},
			{"transport"},
			// The suite that both of them pass; the carrier of secure's tests with Node.
			{"internal/transporttest", "secure/internal/nodetest"},
			{"secure"},
			// Programs.
			{
				"examples/hello", "examples/launchd", "examples/minimal", "examples/secure-helper",
				"internal/link/mach/machdemo",
			},
		},
		KernelDirectory: "internal",
		SystemModules:   []string{"golang.org/x/sys"},
		NoWeb:           "transport",
		Web:             []string{"net/http", "crypto/tls", "crypto/x509"},
		Requires: []string{
			"github.com/flynn/noise",
			"github.com/stretchr/testify",
			"golang.org/x/crypto",
			"golang.org/x/sys",
		},
		TestOnly: []string{"github.com/stretchr/testify"},
	}
}
