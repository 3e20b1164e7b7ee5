package peer

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/sealport/sealport/peer/internal/codesign"
)

// CodeSignature is what Darwin's kernel reports of the program that a process runs.
// Unless Certified, the strings are whatever the signer wrote.
type CodeSignature struct {
	Identifier string // signing identifier, usually the bundle id
	Team       string // team id; "" if there is none
	CDHash     [codesign.CDHashSize]byte
	Flags      uint32 // CS_* of xnu's cs_blobs.h
	Category   uint32 // CS_VALIDATION_CATEGORY_*; 0 on systems without it
	Certified  bool   // signed by Apple or with a certificate from it
}

// CodeSignature asks the kernel for the process's code signature, which the kernel
// has verified for the code in memory. Darwin only. Errors: [ErrGone]; [ErrUnavailable]
// for unsigned code, and on other systems.
func (id *Identity) CodeSignature() (CodeSignature, error) {
	c, err := lookup(id, process.code)
	if err != nil {
		return CodeSignature{}, err
	}
	return CodeSignature{
		Identifier: c.Identifier, Team: c.Team, CDHash: c.CDHash,
		Flags: c.Flags, Category: uint32(c.Category), Certified: c.Chained(),
	}, nil
}

// TeamID accepts code that is signed with a certificate of one of these teams. The
// system must have verified the certificate: the rule cannot be evaluated for a
// signature without one, in which the signer can write any team. Darwin 22 and later.
func TeamID(teams ...string) Policy {
	return signed("TeamID", teams, func(s CodeSignature) string { return s.Team })
}

// SigningID accepts code with one of these signing identifiers, certified as for
// [TeamID]. Developers choose identifiers freely: combine it with TeamID or
// [PlatformBinary].
func SigningID(identifiers ...string) Policy {
	return signed("SigningID", identifiers, func(s CodeSignature) string { return s.Identifier })
}

func signed(name string, texts []string, field func(CodeSignature) string) Policy {
	return anyText(name, texts, func(id *Identity) (string, error) {
		s, err := id.CodeSignature()
		if err != nil {
			return "", err
		}
		if !s.Certified {
			return "", fmt.Errorf("%w: the system has verified no certificate (validation category %d)", ErrUnavailable, s.Category)
		}
		return field(s), nil
	})
}

// CDHash accepts exactly these programs, by the hash of their code directory in
// 40 hexadecimal digits, as codesign -dvvv prints it. It needs no certificate. Darwin only.
func CDHash(hashes ...string) Policy {
	r := rule{name: "CDHash(" + join(hashes, strconv.Quote) + ")"}
	if len(hashes) == 0 {
		r.bad = errNothing
	}
	var want [][]byte
	for _, h := range hashes {
		b, err := hex.DecodeString(h)
		if err != nil || len(b) != codesign.CDHashSize {
			r.bad = fmt.Errorf("%w: cdhash %q is not %d bytes in hexadecimal", ErrDigest, h, codesign.CDHashSize)
		}
		want = append(want, b)
	}
	r.check = func(_ context.Context, id *Identity) result {
		s, err := id.CodeSignature()
		if err != nil {
			return undecided(err)
		}
		return decide(slices.ContainsFunc(want, func(h []byte) bool { return string(h) == string(s.CDHash[:]) }),
			"cdhash is %x", s.CDHash)
	}
	return r
}

// PlatformBinary accepts programs that are part of macOS. Darwin only.
func PlatformBinary() Policy { return flags("PlatformBinary", codesign.FlagPlatform, 0) }

// HardenedRuntime accepts programs that run with the hardened runtime: no
// injected libraries, no unsigned code. Darwin only.
func HardenedRuntime() Policy { return flags("HardenedRuntime", codesign.FlagRuntime, 0) }

// NotDebuggable accepts programs that neither allow a debugger to attach
// (get-task-allow) nor have had one. Darwin only: on Linux, programs of the same user
// may usually debug a process.
func NotDebuggable() Policy {
	return flags("NotDebuggable", 0, codesign.FlagGetTaskAllow|codesign.FlagDebugged)
}

func flags(name string, set, clear uint32) Policy {
	return rule{name: name, check: func(_ context.Context, id *Identity) result {
		s, err := id.CodeSignature()
		if err != nil {
			return undecided(err)
		}
		return decide(s.Flags&set == set && s.Flags&clear == 0, "code signing flags are %#x", s.Flags)
	}}
}

// CodeRequirement accepts code that meets a requirement in Apple's code signing
// requirement language, such as
//
//	anchor apple generic and certificate leaf[subject.OU] = "ABCDE12345"
//
// as Security.framework evaluates it, which reads files, may block for long, and is not
// ended by the context. Darwin only, in programs that import
// [github.com/sealport/sealport/peer/coderequirement]; elsewhere it cannot be evaluated.
func CodeRequirement(requirement string) Policy {
	r := rule{name: "CodeRequirement(" + strconv.Quote(requirement) + ")"}
	if requirement == "" {
		r.bad = errNothing
	}
	r.check = func(ctx context.Context, id *Identity) result {
		err := ask(id, func(p process) error { return p.requirement(ctx, requirement) })
		switch {
		case err == nil:
			return accepted
		case errors.Is(err, codesign.ErrUnsatisfied):
			return result{refuses, err}
		}
		return undecided(err)
	}
	return r
}
