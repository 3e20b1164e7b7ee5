//go:build linux || darwin

package keys_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/keys"
)

// utf16Text returns text in UTF-16, as some editors save it.
func utf16Text(text string, bigEndian bool) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(text)) {
		pair := []byte{byte(u), byte(u >> 8)}
		if bigEndian {
			pair[0], pair[1] = pair[1], pair[0]
		}
		b.Write(pair)
	}
	return b.String()
}

// TestCharactersThatDoNotShow puts what editors hide into each kind of file. KEY stands
// for what the file is about: in known hosts an endpoint comes first, which is four
// characters and a space.
func TestCharactersThatDoNotShow(t *testing.T) {
	for name, tc := range map[string]struct {
		content      string
		line, column int // 0 if it is accepted
		reason       string
	}{
		"nothing wrong":                   {"# Schlüssel\n\n \tKEY\n", 0, 0, ""},
		"CR LF":                           {"# key\r\n\r\nKEY\r\n", 0, 0, ""},
		"CR LF, not at the end":           {"# key\r\nKEY\r", 0, 0, ""},
		"emoji of several characters":     {"# 👩\u200d💻\nKEY\n", 0, 0, ""},
		"no-break space in a comment":     {"# a\u00a0comment\nKEY\n", 0, 0, ""},
		"byte-order mark":                 {"\ufeffKEY\n", 1, 1, "byte-order mark"},
		"byte-order mark and a comment":   {"\ufeff# x\nKEY\n", 1, 1, "byte-order mark"},
		"UTF-16":                          {utf16Text("\ufeffKEY\n", false), 1, 1, "UTF-16"},
		"UTF-16, big-endian":              {utf16Text("\ufeffKEY\n", true), 1, 1, "UTF-16"},
		"UTF-16 without a mark":           {utf16Text("KEY\n", false), 1, 1, "UTF-16"},
		"UTF-16 without a mark, the same": {utf16Text("KEY\n", true), 1, 1, "UTF-16"},
		"Latin-1":                         {"# ok\n# Schl\xfcssel\nKEY\n", 2, 7, "0xfc is not UTF-8"},
		"a replacement character":         {"# \ufffd\nKEY\n", 0, 0, ""},
		"zero width space in front":       {"\n\u200bKEY\n", 2, 1, "invisible character, U+200B"},
		"zero width joiner within":        {" KEY\u200d\n", 1, 0, "invisible character, U+200D"},
		"soft hyphen":                     {"KEY\u00ad\n", 1, 0, "invisible character, U+00AD"},
		"variation selector":              {"KEY\ufe0f\n", 1, 0, "invisible character, U+FE0F"},
		"Hangul filler":                   {"KEY\u3164\n", 1, 0, "invisible character, U+3164"},
		"no-break space":                  {"\u00a0KEY\n", 1, 1, "a space that is not an ordinary one, U+00A0"},
		"no-break space at the end":       {"KEY\u00a0\n", 1, 0, "a space that is not an ordinary one, U+00A0"},
		"no-break space and a hash":       {"\u00a0# x\nKEY\n", 1, 1, "a space that is not an ordinary one, U+00A0"},
		"Cyrillic letter":                 {"KEY\u0455\n", 1, 0, "not ASCII, U+0455"},
		"en dash":                         {"\u2013KEY\n", 1, 1, "not ASCII, U+2013"},
		"bidi override in a comment":      {"# x\u202e\nKEY\n", 1, 4, "direction of the text, U+202E"},
		"bidi mark":                       {"KEY\u200f\n", 1, 0, "direction of the text, U+200F"},
		"line separator in a comment":     {"# x\u2028KEY\n", 1, 4, "ends a line in some editors only, U+2028"},
		"next line in a comment":          {"# x\u0085KEY\n", 1, 4, "control character, U+0085"},
		"carriage return in a comment":    {"# x\rKEY\r", 1, 4, "carriage return"},
		"NUL":                             {"# x\nKEY\x00\n", 2, 0, "control character, U+0000"},
		"escape sequence in a comment":    {"#\x1b[1A\nKEY\n", 1, 2, "control character, U+001B"},
		"byte-order mark within":          {"KEY\n# x\n\ufeffKEY\n", 3, 1, "byte-order mark"},
		"a line that is too long":         {"KEY\n#" + strings.Repeat("x", 64<<10), 2, 64<<10 + 1, "longer"},
	} {
		for kind, key := range map[string]string{"key": fixedSecret, "allow": fixedPublic, "hosts": "host " + fixedPublic} {
			path := filepath.Join(directory(t), kind)
			content := strings.ReplaceAll(tc.content, "KEY", key)
			if name[:3] == "UTF" {
				content = utf16Text(strings.ReplaceAll("\ufeffKEY\n", "KEY", key), strings.Contains(name, "big") || strings.Contains(name, "same"))
				if strings.Contains(name, "without") {
					content = content[2:]
				}
			}
			if kind == "key" && len(content) > 16<<10 {
				continue // too large for this kind
			}
			put(t, path, content)
			var err error
			switch kind {
			case "key":
				require.NoError(t, os.Chmod(path, 0o600))
				_, err = keys.LoadFile(path, nil)
			case "allow":
				_, err = keys.OpenAllowFile(path)
			case "hosts":
				_, err = keys.TrustOnFirstUse(path)
			}
			if tc.line == 0 {
				assert.NoError(t, err, "%s, %s", kind, name)
				continue
			}
			column := tc.column
			if column == 0 { // right behind the key
				column = strings.Index(strings.Split(content, "\n")[tc.line-1], key) + len(key) + 1
			}
			var wrong *keys.TextError
			if assert.ErrorAs(t, err, &wrong, "%s, %s", kind, name) {
				assert.Equal(t, []int{tc.line, column}, []int{wrong.Line, wrong.Column}, "%s, %s", kind, name)
				assert.Contains(t, wrong.Reason, tc.reason, "%s, %s", kind, name)
			}
			assert.ErrorIs(t, err, keys.ErrMalformedKey)
			assert.Equal(t, kind != "key", errors.Is(err, keys.ErrTrustFile))
			assert.NotContains(t, err.Error(), fixedSecret[30:50], "errors do not echo secrets")
		}
	}
}

// TestCommentsOfTrustFiles has text behind keys, which is for people, and text that only
// seems to be behind them.
func TestCommentsOfTrustFiles(t *testing.T) {
	path := filepath.Join(directory(t), "allowed")
	put(t, path, fixedPublic+" José, 京都 👩\u200d💻\n"+fixedPublic+"\u00a0José\n")
	_, err := keys.OpenAllowFile(path)
	var wrong *keys.TextError
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, []int{2, len(fixedPublic) + 1}, []int{wrong.Line, wrong.Column})

	put(t, path, fixedPublic+" José, 京都 👩\u200d💻\n")
	_, err = keys.OpenAllowFile(path)
	require.NoError(t, err)

	// In known hosts the second field is a key, not a comment.
	put(t, path, "host\u00a0x "+fixedPublic+"\n")
	_, err = keys.TrustOnFirstUse(path)
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, []int{1, 5}, []int{wrong.Line, wrong.Column})
	put(t, path, "host #\u00a0"+fixedPublic+"\n")
	_, err = keys.TrustOnFirstUse(path)
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, []int{1, 7}, []int{wrong.Line, wrong.Column})
}
