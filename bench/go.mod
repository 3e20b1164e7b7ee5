module github.com/sealport/sealport/bench

go 1.26.0

require (
	github.com/sealport/sealport v0.0.0
	github.com/stretchr/testify v1.12.1
)

require (
	github.com/flynn/noise v1.1.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/crypto v0.59.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
)

replace github.com/sealport/sealport => ../
