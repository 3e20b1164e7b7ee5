package keys

import (
	"bytes"
	"fmt"
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"
)

// TextError means that a key or trust file has a character that does not belong there,
// and that an editor may not show. errors.Is holds for [ErrMalformedKey].
type TextError struct {
	Line, Column int    // of the character, both from 1; columns count characters
	Reason       string // what it is
}

func (e *TextError) Error() string {
	return fmt.Sprintf("%v: line %d, column %d: %s", ErrMalformedKey, e.Line, e.Column, e.Reason)
}

// Unwrap returns [ErrMalformedKey].
func (e *TextError) Unwrap() error { return ErrMalformedKey }

// maxLine is the longest line of a file, in bytes.
const maxLine = 64 << 10

// textLine is a line of a key or trust file.
type textLine struct {
	number int
	text   string   // without the end of the line
	fields []string // what stands between spaces and tabs; none in a comment
}

// textLines returns the lines of a file of which the first significant fields are read
// by this package, and the rest is a comment. A line with "#" in front is a comment as a
// whole. Lines end with LF or CR LF.
//
// A comment may be any text that looks like what it is. The rest may have ASCII only: a
// character that looks like another one, or like none, would make a line mean what its
// reader does not see. With the first error the sequence ends.
func textLines(content []byte, significant int) iter.Seq2[textLine, error] {
	return func(yield func(textLine, error) bool) {
		if reason := encodingOf(content); reason != "" {
			yield(textLine{}, &TextError{1, 1, reason})
			return
		}
		number := 0
		for raw := range bytes.Lines(content) {
			number++
			raw = bytes.TrimSuffix(raw, []byte("\n"))
			line := textLine{number: number, text: string(bytes.TrimSuffix(raw, []byte("\r")))}
			err := line.check(significant)
			if !yield(line, err) || err != nil {
				return
			}
		}
	}
}

// encodingOf says what is wrong with the encoding of a file as a whole, or "".
func encodingOf(content []byte) string {
	zero := func(i int) bool { return i < len(content) && content[i] == 0 }
	switch {
	case bytes.HasPrefix(content, []byte("\xef\xbb\xbf")):
		return "a byte-order mark; save the file as UTF-8 without one"
	case bytes.HasPrefix(content, []byte("\xff\xfe")), bytes.HasPrefix(content, []byte("\xfe\xff")):
		return "the file is in UTF-16 or UTF-32; save it as UTF-8"
	case zero(0) != zero(1) && zero(0) == zero(2) && zero(1) == zero(3):
		return "the file seems to be in UTF-16; save it as UTF-8"
	}
	return ""
}

// check splits a line into fields and refuses what does not belong there.
func (l *textLine) check(significant int) error {
	if len(l.text) > maxLine {
		return &TextError{l.number, maxLine + 1, fmt.Sprintf("the line is longer than %d bytes", maxLine)}
	}
	fields, comment, inField, column := 0, false, false, 0
	for i, r := range l.text {
		column++
		blank := r == ' ' || r == '\t'
		switch {
		case blank:
			inField = false
		case !comment && !inField:
			inField = true
			fields++
			comment = fields > significant || fields == 1 && r == '#'
		}
		if ' ' <= r && r <= '~' {
			continue
		}
		if reason := wrong(r, l.text[i:], comment); reason != "" {
			return &TextError{l.number, column, reason}
		}
	}
	if text := strings.Trim(l.text, " \t"); !strings.HasPrefix(text, "#") {
		l.fields = splitFields(text)
	}
	return nil
}

// splitFields splits a line at spaces and tabs.
func splitFields(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '\t' })
}

// wrong says why a character, which is the first one of rest, may not be in a line, or
// "". It never shows the character: the line may be a secret.
func wrong(r rune, rest string, comment bool) string {
	name := fmt.Sprintf("U+%04X", r)
	switch {
	case r == utf8.RuneError && !strings.HasPrefix(rest, string(utf8.RuneError)):
		return fmt.Sprintf("the byte 0x%02x is not UTF-8; save the file as UTF-8", rest[0])
	case r == '\r':
		return "a carriage return within the line; end lines with LF or CR LF"
	case unicode.IsControl(r) && r != '\t':
		return "a control character, " + name
	case r == '\ufeff':
		return "a byte-order mark within the file, " + name
	case unicode.Is(unicode.Bidi_Control, r):
		return "an invisible character that changes the direction of the text, " + name
	case r == '\u2028' || r == '\u2029':
		return "an invisible character that ends a line in some editors only, " + name
	case comment || r < utf8.RuneSelf:
		return ""
	case unicode.IsSpace(r):
		return "a space that is not an ordinary one, " + name
	case !unicode.IsGraphic(r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || unicode.Is(unicode.Variation_Selector, r):
		return "an invisible character, " + name
	default:
		return "a character that is not ASCII, " + name
	}
}
