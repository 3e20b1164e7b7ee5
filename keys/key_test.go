package keys_test

import (
	"bytes"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/keys"
)

// Fixed keys, and their texts as they must stay for ever.
const (
	fixedPublic  = "sealport1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73eq4fxhrr"
	fixedSecret  = "SEALPORT-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQN9KHP0"
	fixedPrint   = "ec1d-608b-3484-ad89-8144-1bc3"
	fixedPSKText = "SEALPORT-PRESHARED-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQZLX6PK"
)

// fixedKey is a private key of one repeated byte.
func fixedKey(t testing.TB, b byte) keys.PrivateKey {
	t.Helper()
	k, err := keys.NewPrivateKey(bytes.Repeat([]byte{b}, keys.PrivateKeySize))
	require.NoError(t, err)
	return k
}

func TestTextForms(t *testing.T) {
	k := fixedKey(t, 0x42)
	require.Equal(t, fixedPublic, k.Public().String())
	require.Equal(t, fixedSecret, k.RevealSecretText())
	require.Equal(t, fixedPrint, k.Public().Fingerprint())
	psk, err := keys.NewPreshared(bytes.Repeat([]byte{0x42}, keys.PresharedKeySize))
	require.NoError(t, err)
	require.Equal(t, fixedPSKText, psk.RevealSecretText())
	require.Len(t, fixedPublic, 67)
	require.Len(t, fixedSecret, 79)
	require.Len(t, fixedPSKText, 82)

	for range 50 {
		k := keys.Generate()
		public, err := keys.ParsePublicKey(k.Public().String())
		require.NoError(t, err)
		require.True(t, public.Equal(k.Public()))
		again, err := keys.ParsePrivateKey(k.RevealSecretText())
		require.NoError(t, err)
		require.True(t, again.Equal(k))
		require.True(t, again.Public().Equal(public))
		psk := keys.GeneratePreshared()
		pskAgain, err := keys.ParsePreshared(psk.RevealSecretText())
		require.NoError(t, err)
		require.True(t, pskAgain.Equal(psk))
		require.Equal(t, psk.RevealSecretBytes(), pskAgain.RevealSecretBytes())
	}
}

// TestEverySingleErrorIsFound changes, drops, doubles, inserts and swaps every
// character of each text form.
func TestEverySingleErrorIsFound(t *testing.T) {
	locked, err := keys.Lock(fixedKey(t, 0x42), []byte("passphrase"))
	require.NoError(t, err)
	for _, tc := range []struct {
		text  string
		parse func(string) error
	}{
		{fixedPublic, func(s string) error { _, err := keys.ParsePublicKey(s); return err }},
		{fixedSecret, func(s string) error { _, err := keys.ParsePrivateKey(s); return err }},
		{fixedPSKText, func(s string) error { _, err := keys.ParsePreshared(s); return err }},
		{locked, func(s string) error { _, err := keys.Unlock(s, []byte("passphrase")); return err }},
	} {
		require.NoError(t, tc.parse(tc.text))
		tried := 0
		refuse := func(text string) {
			if text != tc.text {
				require.ErrorIs(t, tc.parse(text), keys.ErrMalformedKey, text)
				tried++
			}
		}
		for i := range len(tc.text) {
			before, after := tc.text[:i], tc.text[i+1:]
			for c := byte(0); c < 128; c++ {
				refuse(before + string(c) + after)
				refuse(before + string(c) + tc.text[i:])
			}
			refuse(before + after)
			refuse(before)
			if i+1 < len(tc.text) {
				refuse(before + tc.text[i+1:i+2] + tc.text[i:i+1] + tc.text[i+2:])
			}
		}
		require.Greater(t, tried, 250*len(tc.text))
		for _, text := range []string{" " + tc.text, tc.text + " ", tc.text + "\n", strings.ToLower(tc.text), strings.ToUpper(tc.text), tc.text + tc.text} {
			refuse(text)
		}
	}
}

func TestOneKindForAnother(t *testing.T) {
	locked, err := keys.Lock(fixedKey(t, 1), []byte("x"))
	require.NoError(t, err)
	for _, tc := range []struct {
		name string
		err  error
		want error
	}{
		{"secret as public", second(keys.ParsePublicKey(fixedSecret)), keys.ErrSecretKey},
		{"lower-case secret as public", second(keys.ParsePublicKey(strings.ToLower(fixedSecret))), keys.ErrSecretKey},
		{"PSK as public", second(keys.ParsePublicKey(fixedPSKText)), keys.ErrSecretKey},
		{"locked as public", second(keys.ParsePublicKey(locked)), keys.ErrLockedKey},
		{"public as secret", second(keys.ParsePrivateKey(fixedPublic)), keys.ErrNotSecretKey},
		{"locked as secret", second(keys.ParsePrivateKey(locked)), keys.ErrLockedKey},
		{"PSK as secret", second(keys.ParsePrivateKey(fixedPSKText)), keys.ErrMalformedKey},
		{"secret as PSK", second(keys.ParsePreshared(fixedSecret)), keys.ErrMalformedKey},
		{"secret as locked", second(keys.Unlock(fixedSecret, []byte("x"))), keys.ErrMalformedKey},
	} {
		require.ErrorIs(t, tc.err, tc.want, tc.name)
		require.ErrorIs(t, tc.err, keys.ErrMalformedKey, tc.name)
		require.NotContains(t, logged(tc.err), fixedSecret[len(fixedSecret)-20:], "errors do not echo secrets")
	}
}

func second[T any](_ T, err error) error { return err }

func TestNewPublicKeyRefusesImpossibleKeys(t *testing.T) {
	raw := func(text string) []byte {
		b, err := hex.DecodeString(text)
		require.NoError(t, err)
		return b
	}
	ff := strings.Repeat("ff", 30)
	for name, key := range map[string][]byte{
		"nil":                   nil,
		"short":                 make([]byte, 31),
		"long":                  make([]byte, 33),
		"zero":                  raw(strings.Repeat("00", 32)),
		"one":                   raw("01" + strings.Repeat("00", 31)),
		"order 8":               raw("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
		"order 8, other":        raw("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
		"p-1":                   raw("ec" + ff + "7f"),
		"p":                     raw("ed" + ff + "7f"),
		"p+1":                   raw("ee" + ff + "7f"),
		"p+9, the base point":   raw("f6" + ff + "7f"),
		"9 with the top bit":    raw("09" + strings.Repeat("00", 30) + "80"),
		"all ones":              raw("ff" + ff + "ff"),
		"zero with the top bit": raw(strings.Repeat("00", 31) + "80"),
	} {
		k, err := keys.NewPublicKey(key)
		require.ErrorIs(t, err, keys.ErrMalformedKey, name)
		require.True(t, k.IsZero())
	}
	for name, key := range map[string][]byte{
		"9":               raw("09" + strings.Repeat("00", 31)),
		"p-2":             raw("eb" + ff + "7f"),
		"below p by much": raw("ff" + "fe" + strings.Repeat("ff", 29) + "7f"),
	} {
		_, err := keys.NewPublicKey(key)
		require.NoError(t, err, name)
	}
}

func TestZeroValues(t *testing.T) {
	var private keys.PrivateKey
	var public keys.PublicKey
	var psk keys.PresharedKey
	require.True(t, private.IsZero())
	require.True(t, public.IsZero())
	require.True(t, psk.IsZero())
	require.False(t, private.Equal(private))
	require.False(t, public.Equal(public))
	require.False(t, psk.Equal(psk))
	require.False(t, private.Equal(fixedKey(t, 1)))
	require.False(t, fixedKey(t, 1).Equal(private))
	require.True(t, private.Public().IsZero())
	require.Empty(t, private.RevealSecretText())
	require.Empty(t, psk.RevealSecretText())
	require.Nil(t, psk.RevealSecretBytes())
	_, err := private.SharedSecret(fixedKey(t, 1).Public())
	require.ErrorIs(t, err, keys.ErrNoKey)
	_, err = fixedKey(t, 1).SharedSecret(public)
	require.ErrorIs(t, err, keys.ErrNoKey)
	_, err = public.MarshalText()
	require.ErrorIs(t, err, keys.ErrMalformedKey)
	for _, raw := range [][]byte{nil, make([]byte, 32), make([]byte, 31), make([]byte, 33)} {
		_, err = keys.NewPrivateKey(raw)
		require.ErrorIs(t, err, keys.ErrMalformedKey)
		_, err = keys.NewPreshared(raw)
		require.ErrorIs(t, err, keys.ErrMalformedKey)
	}
}

func TestSharedSecretAgrees(t *testing.T) {
	a, b := keys.Generate(), keys.Generate()
	ab, err := a.SharedSecret(b.Public())
	require.NoError(t, err)
	ba, err := b.SharedSecret(a.Public())
	require.NoError(t, err)
	require.Equal(t, ab, ba)
	require.Len(t, ab, 32)
}

func TestKeysCopyWhatTheyAreGiven(t *testing.T) {
	raw := bytes.Repeat([]byte{7}, 32)
	private, err := keys.NewPrivateKey(raw)
	require.NoError(t, err)
	psk, err := keys.NewPreshared(raw)
	require.NoError(t, err)
	publicRaw := private.Public().Bytes()
	public, err := keys.NewPublicKey(publicRaw)
	require.NoError(t, err)
	clear(raw)
	clear(publicRaw)
	clear(public.Bytes())
	clear(psk.RevealSecretBytes())
	require.True(t, private.Equal(fixedKey(t, 7)))
	require.True(t, public.Equal(private.Public()))
	require.Equal(t, bytes.Repeat([]byte{7}, 32), psk.RevealSecretBytes())
}

func TestPublicKeyMarshals(t *testing.T) {
	type config struct{ Host keys.PublicKey }
	js, err := json.Marshal(config{fixedKey(t, 0x42).Public()})
	require.NoError(t, err)
	require.JSONEq(t, `{"Host":"`+fixedPublic+`"}`, string(js))
	var back config
	require.NoError(t, json.Unmarshal(js, &back))
	require.True(t, back.Host.Equal(fixedKey(t, 0x42).Public()))
	require.ErrorIs(t, back.Host.UnmarshalText([]byte("sealport1x")), keys.ErrMalformedKey)
	require.True(t, back.Host.Equal(fixedKey(t, 0x42).Public()), "unchanged after an error")
}

// TestSecretsAreRedacted prints, logs and marshals secrets in every way and place
// and looks for them in what came out.
func TestSecretsAreRedacted(t *testing.T) {
	raw := make([]byte, 32)
	for i := range raw {
		raw[i] = byte(0x91 + 7*i)
	}
	key, err := keys.NewPrivateKey(raw)
	require.NoError(t, err)
	psk, err := keys.NewPreshared(raw)
	require.NoError(t, err)
	type holder struct {
		key     keys.PrivateKey
		pointer *keys.PrivateKey
		psk     keys.PresharedKey
		Key     keys.PrivateKey
		Pointer *keys.PrivateKey
		PSK     keys.PresharedKey
		Any     any
	}
	h := holder{key, &key, psk, key, &key, psk, key}
	values := []any{key, &key, psk, &psk, h, &h, []any{key, psk}, map[string]any{"k": key, "p": psk}, []keys.PrivateKey{key}, [1]keys.PresharedKey{psk}}

	var out bytes.Buffer
	for _, v := range values {
		for verb := rune('A'); verb <= 'z'; verb++ {
			for _, flags := range []string{"", "+", "#", " ", "0", "-5.3"} {
				fmt.Fprintf(&out, "%"+flags+string(verb)+"\n", v)
			}
		}
		fmt.Fprintln(&out, v)
		if js, err := json.Marshal(v); err == nil {
			out.Write(js)
		}
		if x, err := xml.Marshal(v); err == nil {
			out.Write(x)
		}
		_ = gob.NewEncoder(&out).Encode(v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v)
		fmt.Fprintln(&out, fmt.Errorf("wrapped: %v", v))
	}
	js, err := json.Marshal(map[string]any{"key": key, "psk": psk})
	require.NoError(t, err)
	require.JSONEq(t, `{"key":"[sealport secret]","psk":"[sealport secret]"}`, string(js))
	require.Contains(t, out.String(), "[sealport secret]")

	// The first bytes are enough to look for; RFC 7748 clamps only the ends.
	part := raw[1:9]
	decimal := strings.Trim(fmt.Sprint(part), "[]")
	var hexList []string
	for _, b := range part {
		hexList = append(hexList, fmt.Sprintf("%#x", b))
	}
	text := strings.ToLower(out.String())
	for _, form := range []string{
		string(part), hex.EncodeToString(part), decimal, strings.ReplaceAll(decimal, " ", ","), strings.ReplaceAll(decimal, " ", ", "),
		strings.Join(hexList, ", "), strings.Join(hexList, " "), strings.Join(hexList, ","),
		strings.ToLower(key.RevealSecretText()[25:45]), strings.ToLower(psk.RevealSecretText()[28:48]),
	} {
		require.NotContains(t, text, form)
	}

	// What is printed cannot be parsed as a key.
	_, err = keys.ParsePrivateKey(key.String())
	require.ErrorIs(t, err, keys.ErrMalformedKey)
}

func TestFingerprintsDiffer(t *testing.T) {
	var all []string
	for i := range 100 {
		print := fixedKey(t, byte(i+1)).Public().Fingerprint()
		require.Regexp(t, `^([0-9a-f]{4}-){5}[0-9a-f]{4}$`, print)
		require.False(t, slices.Contains(all, print))
		all = append(all, print)
	}
}

func FuzzParsePublicKey(f *testing.F) {
	f.Add(fixedPublic)
	f.Add(fixedSecret)
	f.Fuzz(func(t *testing.T, text string) {
		k, err := keys.ParsePublicKey(text)
		if err != nil {
			require.ErrorIs(t, err, keys.ErrMalformedKey)
			require.True(t, k.IsZero())
			return
		}
		require.Equal(t, text, k.String())
	})
}

func FuzzParsePrivateKey(f *testing.F) {
	f.Add(fixedSecret)
	f.Add(fixedPublic)
	f.Fuzz(func(t *testing.T, text string) {
		k, err := keys.ParsePrivateKey(text)
		if err != nil {
			require.ErrorIs(t, err, keys.ErrMalformedKey)
			require.True(t, k.IsZero())
			return
		}
		require.Equal(t, text, k.RevealSecretText())
	})
}
