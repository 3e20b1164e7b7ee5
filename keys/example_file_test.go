//go:build linux || darwin

package keys_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/sealport/sealport/keys"
)

// exampleDir returns a directory for the files of an example.
func exampleDir() (dir string, remove func()) {
	dir, err := os.MkdirTemp("", "sealport-example-")
	if err != nil {
		log.Fatal(err)
	}
	return dir, func() {
		if err := os.RemoveAll(dir); err != nil {
			log.Fatal(err)
		}
	}
}

// A key file under a passphrase, which is asked for when the file is loaded.
func ExampleSaveFile() {
	dir, remove := exampleDir()
	defer remove()
	path := filepath.Join(dir, "greeter.key")
	key := keys.Generate()
	if err := keys.SaveFile(path, key, []byte("correct horse battery staple")); err != nil {
		log.Fatal(err)
	}
	ask := func() ([]byte, error) { return []byte("correct horse battery staple"), nil }
	loaded, err := keys.LoadFile(path, ask)
	fmt.Println(loaded.Equal(key), err)

	_, err = keys.LoadFile(path, nil)
	fmt.Println(errors.Is(err, keys.ErrLockedKey))
	// Output:
	// true <nil>
	// true
}

// A key file that other users can read is refused.
func ExampleLoadFile() {
	dir, remove := exampleDir()
	defer remove()
	path := filepath.Join(dir, "greeter.key")
	if err := keys.SaveFile(path, keys.Generate(), nil); err != nil {
		log.Fatal(err)
	}
	_, err := keys.LoadFile(path, nil)
	fmt.Println(err)

	if err := os.Chmod(path, 0o644); err != nil {
		log.Fatal(err)
	}
	_, err = keys.LoadFile(path, nil)
	fmt.Println(errors.Is(err, keys.ErrInsecureFile))
	// Output:
	// <nil>
	// true
}

// The same key at every start of the program.
func ExampleLoadOrGenerate() {
	dir, remove := exampleDir()
	defer remove()
	store := &keys.FileStore{Dir: filepath.Join(dir, "keys")}
	first, err := keys.LoadOrGenerate(context.Background(), store, "com.example.greeter")
	if err != nil {
		log.Fatal(err)
	}
	second, err := keys.LoadOrGenerate(context.Background(), store, "com.example.greeter")
	fmt.Println(second.Equal(first), err)
	// Output:
	// true <nil>
}

// A host that replaces its key by the next one.
func ExampleFileStore() {
	dir, remove := exampleDir()
	defer remove()
	ctx, store := context.Background(), &keys.FileStore{Dir: dir}
	current, next := keys.Generate(), keys.Generate()
	if err := store.Save(ctx, "com.example.greeter", current); err != nil {
		log.Fatal(err)
	}
	fmt.Println(errors.Is(store.Save(ctx, "com.example.greeter", next), keys.ErrKeyExists))
	fmt.Println(store.Replace(ctx, "com.example.greeter", next))
	path, err := store.Path("com.example.greeter")
	fmt.Println(filepath.Base(path), err)
	// Output:
	// true
	// <nil>
	// com.example.greeter.key <nil>
}

// A host whose clients are listed in a file, to which the operator adds one.
func ExampleOpenAllowFile() {
	dir, remove := exampleDir()
	defer remove()
	path := filepath.Join(dir, "allowed")
	alice, bob := keys.Generate().Public(), keys.Generate().Public()
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			log.Fatal(err)
		}
	}
	write("# clients of the greeter\n" + alice.String() + " alice, laptop\n")
	trust, err := keys.OpenAllowFile(path)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	fmt.Println(trust.Verify(ctx, "com.example.greeter", alice))

	err = trust.Verify(ctx, "com.example.greeter", bob)
	var refused *keys.UntrustedError
	if errors.As(err, &refused) {
		fmt.Println("refused Bob, who is not in", filepath.Base(refused.File))
		write(alice.String() + " alice, laptop\n" + refused.Key.String() + " bob\n")
	}
	fmt.Println(trust.Verify(ctx, "com.example.greeter", bob))
	// Output:
	// <nil>
	// refused Bob, who is not in allowed
	// <nil>
}

// A client that does not know the host's key, and requires that it stays the same.
func ExampleTrustOnFirstUse() {
	dir, remove := exampleDir()
	defer remove()
	trust, err := keys.TrustOnFirstUse(filepath.Join(dir, "known_hosts"))
	if err != nil {
		log.Fatal(err)
	}
	ctx, host, another := context.Background(), keys.Generate().Public(), keys.Generate().Public()
	// Package secure calls Verify in a handshake, and Learn when it has succeeded.
	fmt.Println(trust.Verify(ctx, "com.example.greeter", host))
	fmt.Println(trust.Learn(ctx, "com.example.greeter", host))
	fmt.Println(errors.Is(trust.Verify(ctx, "com.example.greeter", another), keys.ErrKeyChanged))

	// The host has announced its next key.
	fmt.Println(trust.Remember(ctx, "com.example.greeter", another))
	fmt.Println(trust.Verify(ctx, "com.example.greeter", another))
	// Output:
	// <nil>
	// <nil>
	// true
	// <nil>
	// <nil>
}
