package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Errors of settings.
var (
	errName  = errors.New("no such setting; list shows them all")
	errValue = errors.New("invalid value")
)

// known lists the settings and checks their values: a helper does only the few
// things that it was made for.
var known = map[string]func(value string) error{
	"greeting": func(v string) error {
		const longest = 80
		if n := utf8.RuneCountInString(v); n > longest || !utf8.ValidString(v) || strings.ContainsFunc(v, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return fmt.Errorf("%w: it must be at most %d printable characters", errValue, longest)
		}
		return nil
	},
	"power-saving": func(v string) error {
		if v != "on" && v != "off" {
			return fmt.Errorf("%w: it must be on or off", errValue)
		}
		return nil
	},
	"volume": func(v string) error {
		// Itoa: only one spelling of each number is valid.
		if n, err := strconv.Atoi(v); err != nil || n < 0 || n > 100 || strconv.Itoa(n) != v {
			return fmt.Errorf("%w: it must be a number from 0 to 100", errValue)
		}
		return nil
	},
}

// settings are kept in a directory, one file for each.
type settings struct {
	mu  sync.Mutex // guards writing
	dir *os.Root   // no name leads out of it
}

func openSettings(dir string) (*settings, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &settings{dir: root}, nil
}

func (s *settings) close() { _ = s.dir.Close() }

// get returns a setting's value, "" if it was never set.
func (s *settings) get(name string) (string, error) {
	if known[name] == nil {
		return "", errName
	}
	value, err := s.dir.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(value), err
}

// set changes a setting atomically: a reader sees the old value or the new one.
func (s *settings) set(name, value string) error {
	check := known[name]
	if check == nil {
		return errName
	}
	if err := check(value); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	building := name + ".new"
	if err := s.dir.WriteFile(building, []byte(value), 0o644); err != nil {
		return err
	}
	return s.dir.Rename(building, name)
}

// list returns all settings, a line for each.
func (s *settings) list() (string, error) {
	var lines []string
	for name := range known {
		value, err := s.get(name)
		if err != nil {
			return "", err
		}
		lines = append(lines, name+"="+value)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n"), nil
}
