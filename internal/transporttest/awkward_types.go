//lint:file-ignore SA5008 these tags are odd on purpose
//lint:file-ignore U1000 so are the fields that nobody uses

package transporttest

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// The types of the table in awkward.go, by what is awkward about them.

// Level is an enum whose zero value stands for none, and has no text.
type Level int

var errLevel = errors.New("no such level")

// MarshalText implements encoding.TextMarshaler.
func (l Level) MarshalText() ([]byte, error) {
	if l < 1 || l > 9 {
		return nil, errLevel
	}
	return []byte{'0' + byte(l)}, nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *Level) UnmarshalText(b []byte) error {
	if len(b) != 1 || b[0] < '1' || b[0] > '9' {
		return errLevel
	}
	*l = Level(b[0] - '0')
	return nil
}

// Secretive has its JSON on the pointer, and would lose its field without.
type Secretive struct{ n int }

// MarshalJSON implements json.Marshaler.
func (s *Secretive) MarshalJSON() ([]byte, error) { return json.Marshal(s.n) }

// UnmarshalJSON implements json.Unmarshaler.
func (s *Secretive) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &s.n) }

// Quoted is JSON of its own making, right or wrong; the zero value is null.
type Quoted struct{ json string }

// MarshalJSON implements json.Marshaler.
func (q Quoted) MarshalJSON() ([]byte, error) {
	if q.json == "" {
		return []byte(" null "), nil
	}
	return []byte(q.json), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (q *Quoted) UnmarshalJSON(b []byte) error {
	if q.json = string(b); q.json == "null" {
		q.json = ""
	}
	return nil
}

// Latin is text that need not be UTF-8.
type Latin struct{ text string }

// MarshalText implements encoding.TextMarshaler.
func (l Latin) MarshalText() ([]byte, error) { return []byte(strings.TrimSpace(l.text)), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *Latin) UnmarshalText(b []byte) error {
	l.text = string(b)
	return nil
}

// Upper is a string with methods, which encoding/json calls for keys on the way
// in only.
type Upper string

// MarshalText implements encoding.TextMarshaler.
func (u Upper) MarshalText() ([]byte, error) { return []byte(strings.ToUpper(string(u))), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (u *Upper) UnmarshalText(b []byte) error {
	*u = Upper(strings.ToLower(string(b)))
	return nil
}

// Ranked has text, and JSON that may be another.
type Ranked struct{ rank string }

// MarshalText implements encoding.TextMarshaler.
func (r Ranked) MarshalText() ([]byte, error) { return []byte(r.rank), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Ranked) UnmarshalText(b []byte) error {
	r.rank = string(b)
	return nil
}

// MarshalJSON implements json.Marshaler.
func (r Ranked) MarshalJSON() ([]byte, error) {
	if n, err := strconv.Atoi(r.rank); err == nil {
		return json.Marshal(n)
	}
	return json.Marshal(r.rank)
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *Ranked) UnmarshalJSON(b []byte) error {
	r.rank = strings.Trim(string(b), `"`)
	return nil
}

// HalfRanked has text, and only the decoding half of JSON.
type HalfRanked struct{ rank string }

// MarshalText implements encoding.TextMarshaler.
func (r HalfRanked) MarshalText() ([]byte, error) { return []byte(r.rank), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *HalfRanked) UnmarshalText(b []byte) error { return (*Ranked)(r).UnmarshalText(b) }

// UnmarshalJSON implements json.Unmarshaler.
func (r *HalfRanked) UnmarshalJSON([]byte) error { return nil }

// HalfText, HalfJSON and HalfBinary encode and do not decode.
type (
	HalfText   struct{ Text string }
	HalfJSON   struct{ Text string }
	HalfBinary struct{ Text string }
)

// MarshalText implements encoding.TextMarshaler.
func (h HalfText) MarshalText() ([]byte, error) { return []byte(h.Text), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (h *HalfJSON) UnmarshalJSON([]byte) error { return nil }

// AppendBinary implements encoding.BinaryAppender.
func (h *HalfBinary) AppendBinary(b []byte) ([]byte, error) { return append(b, h.Text...), nil }

// Event has all its methods from the time.
type Event struct {
	time.Time
	Note string
}

// Occasion has all its methods from the time too, and is more than it.
type Occasion struct{ Event }

// Instant is a time, and nothing else.
type Instant struct{ time.Time }

// Verbatim is raw JSON, and nothing else.
type Verbatim struct{ json.RawMessage }

// Restamped embeds what embeds a time, and has JSON of its own.
type Restamped struct{ Event }

// MarshalJSON implements json.Marshaler.
func (r Restamped) MarshalJSON() ([]byte, error) { return Stamped(r.Event).MarshalJSON() }

// UnmarshalJSON implements json.Unmarshaler.
func (r *Restamped) UnmarshalJSON(b []byte) error { return (*Stamped)(&r.Event).UnmarshalJSON(b) }

// Stamped embeds a time and has JSON of its own; the binary methods are the
// time's.
type Stamped struct {
	time.Time
	Note string
}

// MarshalJSON implements json.Marshaler.
func (s Stamped) MarshalJSON() ([]byte, error) { return json.Marshal(stamp{s.Time, s.Note}) }

// UnmarshalJSON implements json.Unmarshaler.
func (s *Stamped) UnmarshalJSON(b []byte) error {
	var v stamp
	err := json.Unmarshal(b, &v)
	s.Time, s.Note = v.At, v.Note
	return err
}

type stamp struct {
	At   time.Time
	Note string
}

// Packed embeds a time and has the older binary methods of its own: the newer
// AppendBinary is the time's.
type Packed struct {
	time.Time
	Note string
}

// MarshalBinary implements encoding.BinaryMarshaler.
func (p *Packed) MarshalBinary() ([]byte, error) { return json.Marshal(stamp{p.Time, p.Note}) }

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (p *Packed) UnmarshalBinary(b []byte) error {
	var v stamp
	err := json.Unmarshal(b, &v)
	p.Time, p.Note = v.At, v.Note
	return err
}

// HalfStamped encodes itself whole and decodes the time only.
type HalfStamped struct {
	time.Time
	Note string
}

// MarshalJSON implements json.Marshaler.
func (s HalfStamped) MarshalJSON() ([]byte, error) { return Stamped(s).MarshalJSON() }

// Pair is generic, and has methods of its own.
type Pair[T any] struct{ a, b T }

// MarshalJSON implements json.Marshaler.
func (p Pair[T]) MarshalJSON() ([]byte, error) { return json.Marshal([]T{p.a, p.b}) }

// UnmarshalJSON implements json.Unmarshaler.
func (p *Pair[T]) UnmarshalJSON(b []byte) error {
	var v [2]T
	err := json.Unmarshal(b, &v)
	p.a, p.b = v[0], v[1]
	return err
}

// Labelled is generic and embeds: no one can tell whose methods it has.
type Labelled[T any] struct {
	Latin
	Label T
}

// MarshalText implements encoding.TextMarshaler.
func (l Labelled[T]) MarshalText() ([]byte, error) { return l.Latin.MarshalText() }

// Base is embedded.
type Base struct {
	ID   int
	Tags []string `json:",omitempty"`
}

// Faint is embedded, and may be nothing in JSON.
type Faint struct {
	ID int `json:",omitempty"`
}

type hidden struct{ Visible string }

type hiddenInt int

// Embedding has fields of several structs.
type Embedding struct {
	Base
	hidden
	Own string
}

// EmbeddingPointer has those of one that may be nil.
type EmbeddingPointer struct {
	*Base
	Own string
}

// Tree refers to itself in each way that a type can.
type Tree struct {
	Name string
	Left *Tree
	Kids []Tree
	Up   map[string]*Tree
}

// Loop embeds itself.
type Loop struct {
	*Loop
	Name string
}

// Nest is slices all the way down.
type Nest []Nest

// Omitting leaves out what is zero.
type Omitting struct {
	Ints  []int           `json:"ints,omitempty"`
	Map   map[string]int  `json:",omitempty"`
	Real  float64         `json:",omitempty"`
	At    time.Time       `json:",omitzero"`
	Zero  []int           `json:",omitzero"`
	Reals [2]float32      `json:",omitzero"`
	Level Level           `json:",omitempty"`
	Raw   json.RawMessage `json:",omitempty"`
}

// Quoting has numbers and texts in quotes.
type Quoting struct {
	Int    int         `json:",string"`
	Text   string      `json:",string"`
	Flag   *bool       `json:",string"`
	Number json.Number `json:",string"`
	Slice  []int       `json:",string"`
}

// Named has odd names, and fields that are not for others.
type Named struct {
	_     [3]byte
	cache int    `json:"-"`
	Left  int    `json:"-"`
	Dash  int    `json:"-,"`
	Odd   int    `json:"<&é>"`
	Bad   int    `json:"a\"b"`
	UPPER string `json:"name"`
	Lower string `json:"Name"`
	_     func() `json:"-"`
}

func negativeZero() float64 { return math.Copysign(0, -1) }

// cyclicTree, cyclicNest and cyclicMap hold themselves.
func cyclicTree() *Tree {
	t := &Tree{Name: "t"}
	t.Up = map[string]*Tree{"self": {Left: t}}
	return t
}

func cyclicNest() Nest {
	n := Nest{nil}
	n[0] = n
	return n
}

func cyclicMap() any {
	m := map[string]any{}
	m["self"] = []any{m}
	return m
}

// deepRaw is n arrays in each other.
func deepRaw(n int) json.RawMessage {
	return json.RawMessage(strings.Repeat("[", n) + strings.Repeat("]", n))
}

// deep is n slices in each other.
func deep(n int) (x any) {
	for range n {
		x = []any{x}
	}
	return x
}
