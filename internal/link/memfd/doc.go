// Package memfd makes memory that two processes share (Linux): a memory file
// (memfd_create(2)) whose size cannot change, mapped into both.
package memfd
