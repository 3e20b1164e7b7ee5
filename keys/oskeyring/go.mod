module github.com/sealport/sealport/keys/oskeyring

go 1.26.0

require (
	github.com/sealport/sealport v0.0.0
	github.com/stretchr/testify v1.12.1
	github.com/zalando/go-keyring v0.2.8
)

require (
	github.com/danieljoos/wincred v1.2.3 // indirect
	github.com/godbus/dbus/v5 v5.2.2 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/crypto v0.59.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
)

// The same commit of the core, until both are tagged.
replace github.com/sealport/sealport => ../..
