package transporttest

import (
	"encoding/json"
	"math"
	"math/big"
	"net/netip"
	"time"

	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/transport"
)

// Awkward is a type that a codec may get wrong.
type Awkward struct {
	Name    string
	Content string // what its codec is called, "" if it must have none
	Values  []any  // that arrive as they are
	Unfit   []any  // that must not encode

	codec func() (transport.Codec[any], error)
}

// Codec returns the codec of the type, for values that are of it.
func (a Awkward) Codec() (transport.Codec[any], error) { return a.codec() }

// erased is the codec of one type as one of any. It has no type parameter: the compiler
// would make its methods, and what they need, for each of the types below.
type erased struct {
	codec  any
	append func(b []byte, v any) ([]byte, error)
	decode func(b []byte) (any, error)
}

func (e erased) Append(b []byte, v any) ([]byte, error) { return e.append(b, v) }
func (e erased) Decode(b []byte) (any, error)           { return e.decode(b) }

// ContentName is that of the codec itself.
func (e erased) ContentName() string {
	return e.codec.(interface{ ContentName() string }).ContentName()
}

func eraser[T any]() (transport.Codec[any], error) {
	c, err := transport.CodecOf[T]()
	if err != nil {
		return nil, err
	}
	return erased{c,
		func(b []byte, v any) ([]byte, error) {
			var t T
			if v != nil {
				t = v.(T)
			}
			return c.Append(b, t)
		},
		func(b []byte) (any, error) { return c.Decode(b) },
	}, nil
}

// fits is a type that has a codec.
func fits[T any](name, content string, values ...T) Awkward {
	return Awkward{Name: name, Content: content, Values: anys(values), codec: eraser[T]}
}

// but adds values that do not encode.
func but[T any](a Awkward, unfit ...T) Awkward {
	a.Unfit = anys(unfit)
	return a
}

// refused is a type that has no codec.
func refused[T any](name string) Awkward { return Awkward{Name: name, codec: eraser[T]} }

func anys[T any](values []T) []any {
	var all []any
	for _, v := range values {
		all = append(all, v)
	}
	return all
}

// AwkwardTypes is the table of them. It is made anew for each caller.
func AwkwardTypes() []Awkward {
	noon := time.Date(2024, 2, 29, 12, 0, 0, 1, time.UTC)
	mean := time.Date(1890, 1, 1, 0, 0, 0, 0, time.FixedZone("LMT", 53*60+28))
	key := public()
	yes := true
	type text string
	type blob []byte
	type lists struct {
		Ints  []int
		Map   map[string]int
		Bytes []byte
		Ptrs  []*int
	}
	return []Awkward{
		fits("bytes", "bytes", []byte{}, []byte{0, 255}),
		fits("string", "string", "", "\xff\x00", "text"),
		but[any](fits[any]("any", "json", nil, true, -1.5, "�", []any{}, map[string]any{"a": []any{nil, "b"}}, deep(10_000)),
			1, "\xff", text("t"), []any(nil), map[string]any(nil), []string{}, map[string]any{"\xff": 1.0}, []any{[]any{int8(1)}},
			math.NaN(), cyclicMap(), deep(10_001)),
		but[Level](fits("zero that has no text", "json", Level(1), 9), 0),
		but(fits("field whose zero has no text", "json", struct{ Level Level }{3}), struct{ Level Level }{}),
		but(fits("public key", "json", struct{ Key keys.PublicKey }{key}), struct{ Key keys.PublicKey }{}),
		fits("time", "binary", noon, time.Time{}),
		but(fits("field that is a time", "json", stamp{noon, "n"}, stamp{}), stamp{At: mean}),
		fits("nothing but an embedded time", "binary", struct{ time.Time }{noon}),
		but(fits("field that is nothing but a time", "json", struct{ At Instant }{Instant{noon}}), struct{ At Instant }{Instant{mean}}),
		but(fits("nothing but raw JSON", "json", Verbatim{json.RawMessage("{}")}), Verbatim{}, Verbatim{json.RawMessage("{ }")}),
		fits("promoted JSON twice, overridden", "json", Restamped{Event{noon, "n"}}),
		fits("promoted JSON, overridden", "json", Stamped{noon, "n"}, Stamped{}),
		but[*Packed](fits("promoted binary, overridden", "binary", &Packed{noon, "n"}), nil),
		fits("promoted binary of a plain struct", "json", struct {
			Point
			Note string
		}{Point{3, 3}, "n"}),
		fits("pointers to numbers", "json", big.NewInt(-7), nil),
		fits("JSON on the pointer", "json", Secretive{5}, Secretive{}),
		fits("JSON on the pointer, in slices and arrays", "json", struct {
			A [2]Secretive
			B []Secretive
			C map[string]*Secretive
		}{[2]Secretive{{1}, {2}}, []Secretive{{3}}, map[string]*Secretive{"d": {4}, "e": nil}}),
		but(fits("JSON of its own", "json", Quoted{`"a"`}, Quoted{}), Quoted{"{"}, Quoted{"\"\xff\""}),
		but[*Quoted](fits("pointer to null", "json", &Quoted{`"a"`}, nil), &Quoted{}),
		but(fits("text", "json", []Latin{{""}, {"é"}}), []Latin{{"\xe9"}}),
		but(fits("text keys", "json", map[Latin]int{{"é"}: 1, {""}: 2}),
			map[Latin]int{{"\xe9"}: 1}, map[Latin]int{{"a"}: 1, {"a "}: 2}),
		but(fits("time keys", "json", map[time.Time]int{noon: 1}), map[time.Time]int{mean: 1}),
		but(fits("keys that are nothing but a time", "json", map[Instant]int{{noon}: 1}), map[Instant]int{{mean}: 1}),
		but(fits("keys with text and JSON", "json", map[Ranked]int{{"a"}: 1}), map[Ranked]int{{"1"}: 1}),
		fits("address keys", "json", map[netip.Addr]uint8{netip.MustParseAddr("::1%eth0"): 255}, nil, map[netip.Addr]uint8{}),
		but(fits("number keys", "json", map[int8]string{-128: "a", 0: ""}), map[int8]string{1: "\xff"}),
		but(fits("enum keys", "json", map[Level][]byte{1: {}, 2: nil}), map[Level][]byte{0: nil}),
		but(fits("string keys", "json", map[text]bool{"\u2028<&>": true, "": false}), map[text]bool{"\xff": true}),
		but(fits("recursive", "json", &Tree{Name: "a", Left: &Tree{}, Kids: []Tree{{Name: "b"}}, Up: map[string]*Tree{"": nil}}, nil),
			cyclicTree(), &Tree{Kids: []Tree{{Name: "\xff"}}}),
		but(fits("recursive slices", "json", Nest{nil, {}, {{}}}), cyclicNest()),
		but(fits("embedded structs", "json", Embedding{Base{1, []string{"t"}}, hidden{"v"}, "o"}, Embedding{}),
			Embedding{hidden: hidden{"\xff"}}, Embedding{Base: Base{Tags: []string{}}}),
		but(fits("embedded pointer", "json", EmbeddingPointer{}, EmbeddingPointer{&Base{}, "o"}),
			EmbeddingPointer{Base: &Base{Tags: []string{"\xff"}}}),
		but(fits("omitted", "json", Omitting{}, Omitting{[]int{0}, map[string]int{"": 0}, 1, noon, []int{}, [2]float32{0, 1}, 1, json.RawMessage("{}")}),
			Omitting{Ints: []int{}}, Omitting{Map: map[string]int{}}, Omitting{Real: negativeZero()},
			Omitting{At: time.Time{}.In(time.FixedZone("z", 3600))}, Omitting{Reals: [2]float32{float32(negativeZero()), 0}}),
		but(fits("quoted", "json", Quoting{-1, `"null"`, &yes, "1e9", []int{1}}, Quoting{Number: "0"}),
			Quoting{Text: "\xff", Number: "0"}, Quoting{}),
		but[json.RawMessage](fits("raw JSON", "json", json.RawMessage(`{"<a>":[1e999,"\ud800"]}`), json.RawMessage("null")),
			nil, json.RawMessage(`{ }`), json.RawMessage(`{`), json.RawMessage("\"\xff\"")),
		but(fits("deep raw JSON", "json", []json.RawMessage{deepRaw(9_999), json.RawMessage(`{"[[\\":"\"[["}`)}),
			[]json.RawMessage{deepRaw(10_000)}),
		but[json.Number](fits("number", "json", json.Number("-1.50e+7"), "12345678901234567890123"), "", "0x1", "NaN"),
		but(fits("float64", "json", 0, negativeZero(), math.MaxFloat64, math.SmallestNonzeroFloat64, 0.1),
			math.NaN(), math.Inf(1)),
		fits[float32]("float32", "json", 0.1, math.MaxFloat32, math.SmallestNonzeroFloat32),
		fits[uint64]("uint64", "json", math.MaxUint64, 1<<53+1),
		fits[int64]("int64", "json", math.MinInt64, math.MaxInt64),
		fits("nil and empty", "json", lists{}, lists{[]int{}, map[string]int{}, []byte{}, []*int{nil}}, lists{Bytes: []byte{0, 255}}),
		fits("array", "json", [2][2]Point{{{1, 2}}, {}}),
		fits("bytes of another name", "json", blob{0, 255}, blob{}, nil),
		but[text](fits("string of another name", "json", text(""), "�", "\x00"), "\xff", "\xed\xa0\x80"),
		but(fits("pointer to a slice", "json", &[]int{}, nil), new([]int)),
		but(fits("pointer to any", "json", struct{ P *any }{}, struct{ P *any }{ptr[any]("x")}), struct{ P *any }{new(any)}, struct{ P *any }{ptr[any](1)}),
		but[*Ref](fits("nil pointer that encodes itself", "binary", &Ref{"r"}, &Ref{}), nil),
		fits("generic", "json", Pair[string]{"a", "b"}),
		fits("names", "json", Named{Dash: 1, Odd: 2, Bad: 3, UPPER: "u", Lower: "l"}),
		fits("empty struct", "json", struct{ _ [0]func() }{}),

		refused[struct {
			time.Time
			Note string
		}]("promoted methods"),
		refused[Event]("promoted methods of a named struct"),
		refused[*Event]("pointer to promoted methods"),
		refused[struct{ Event }]("promoted methods of promoted methods"),
		refused[Occasion]("promoted methods of promoted methods of a named struct"),
		refused[[]map[int]Occasion]("promoted methods of promoted methods inside"),
		refused[[]struct{ time.Time }]("embedded time in a struct without a name inside"),
		refused[map[string][]Event]("promoted methods inside"),
		refused[HalfStamped]("methods half promoted"),
		refused[Labelled[int]]("methods of a generic type that embeds"),
		refused[struct {
			Latin
			Quoted
		}]("embedded methods that do not apply"),
		refused[struct {
			time.Time
			Other time.Time `json:"-"`
		}]("promoted methods beside what is left out"),
		refused[struct{ *time.Time }]("embedded pointer to a time"),
		refused[struct{ json.Marshaler }]("embedded interface"),
		refused[struct{ a int }]("unexported field"),
		refused[[]map[string]struct{ B struct{ a int } }]("unexported field inside"),
		refused[struct {
			Base
			Faint
		}]("two fields of one name"),
		refused[struct {
			Base
			ID int
		}]("hidden field of an embedded struct"),
		refused[struct {
			*hidden
			B int
		}]("embedded pointer to an unexported struct"),
		refused[struct {
			*Faint
			B int
		}]("embedded pointer without a trace"),
		refused[struct {
			hiddenInt
			B int
		}]("embedded unexported number"),
		refused[struct {
			hidden `json:"h"`
		}]("embedded unexported struct with a name"),
		refused[Loop]("struct that embeds itself"),
		refused[HalfText]("text without its way back"),
		refused[struct{ P []*HalfJSON }]("JSON without its way there"),
		refused[HalfBinary]("binary without its way back"),
		refused[struct {
			L Level `json:",string"`
		}]("quoted and with methods"),
		refused[map[string]Secretive]("JSON on the pointer of a map's value"),
		refused[map[string][1]struct{ S Secretive }]("JSON on the pointer inside a map's value"),
		refused[map[Upper]int]("string keys with methods"),
		refused[map[*Latin]int]("pointer keys"),
		refused[map[HalfRanked]int]("text keys that decode as JSON"),
		refused[map[any]int]("keys of any type"),
		refused[map[float64]int]("float keys"),
		refused[**int]("pointer to a pointer"),
		refused[struct{ A []**int }]("pointer to a pointer inside"),
		refused[error]("interface with methods"),
		refused[struct{ C chan int }]("channel"),
		refused[func()]("function"),
		refused[complex64]("complex number"),
	}
}

func ptr[T any](v T) *T { return &v }

// samplePublicKey is some valid key.
const samplePublicKey = "sealport1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73eq4fxhrr"

// public is the same public key each time.
func public() keys.PublicKey {
	k, err := keys.ParsePublicKey(samplePublicKey)
	if err != nil {
		panic(err)
	}
	return k
}
