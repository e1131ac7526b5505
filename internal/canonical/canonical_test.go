package canonical_test

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"

	"github.com/demarc/demarc/internal/canonical"
)

// TestVectors are the examples of RFC 8785: section 3.2.2, 3.2.3 and appendix B.
func TestVectors(t *testing.T) {
	for name, c := range map[string]struct{ in, out string }{
		"section 3.2.2": {
			"{\"numbers\": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],\n" +
				`"string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}`,
			`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
		},
		"section 3.2.3": {
			`{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}`,
			"{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u0080\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\ufb33\":\"Hebrew Letter Dalet With Dagesh\"}",
		},
		"nested": {`{"b":[{"d":1,"c":2}],"a":{}}`, `{"a":{},"b":[{"c":2,"d":1}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := canonical.Bytes([]byte(c.in))
			if err != nil || string(got) != c.out {
				t.Errorf("%v\n got %s\nwant %s", err, got, c.out)
			}
		})
	}
}

// TestNumbers are those of RFC 8785, appendix B.
func TestNumbers(t *testing.T) {
	for bits, want := range map[uint64]string{
		0x0000000000000000: "0", 0x8000000000000000: "0", 0x0000000000000001: "5e-324", 0x8000000000000001: "-5e-324",
		0x7fefffffffffffff: "1.7976931348623157e+308", 0xffefffffffffffff: "-1.7976931348623157e+308",
		0x4340000000000000: "9007199254740992", 0xc340000000000000: "-9007199254740992", 0x4430000000000000: "295147905179352830000",
		0x44b52d02c7e14af5: "9.999999999999997e+22", 0x44b52d02c7e14af6: "1e+23", 0x44b52d02c7e14af7: "1.0000000000000001e+23",
		0x444b1ae4d6e2ef4e: "999999999999999700000", 0x444b1ae4d6e2ef4f: "999999999999999900000", 0x444b1ae4d6e2ef50: "1e+21",
		0x3eb0c6f7a0b5ed8c: "9.999999999999997e-7", 0x3eb0c6f7a0b5ed8d: "0.000001",
		0x41b3de4355555553: "333333333.3333332", 0x41b3de4355555554: "333333333.33333325", 0x41b3de4355555555: "333333333.3333333",
		0x41b3de4355555556: "333333333.3333334", 0x41b3de4355555557: "333333333.33333343",
		0xbecbf647612f3696: "-0.0000033333333333333333", 0x43143ff3c1cb0959: "1424953923781206.2",
	} {
		got, err := canonical.JSON(math.Float64frombits(bits))
		if err != nil || string(got) != want {
			t.Errorf("%016x: %s, %v; want %s", bits, got, err, want)
		}
	}
}

func TestRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"empty": "", "duplicate": `{"a":1,"a":2}`, "duplicate, escaped": `{"a":1,"\u0061":2}`, "bad UTF-8": "\"\xff\"", "lone surrogate": `"\ud800"`,
		"trailing": `{} {}`, "cut": `{"a":`, "comment": `{/**/}`, "NaN": "NaN", "leading zero": "01",
	} {
		if got, err := canonical.Bytes([]byte(in)); err == nil {
			t.Errorf("%s became %s", name, got)
		}
	}
	if _, err := canonical.JSON(math.Inf(1)); err == nil {
		t.Error("infinity was written")
	}
}

func TestInputIsKept(t *testing.T) {
	in := []byte(`{ "b":1, "a":2 }`)
	was := bytes.Clone(in)
	if _, err := canonical.Bytes(in); err != nil || !bytes.Equal(in, was) {
		t.Errorf("%v; the input became %s", err, in)
	}
}

func TestDigest(t *testing.T) {
	// SHA-256 of "abc" from FIPS 180-2, appendix B.1.
	if got := canonical.Digest([]byte("abc")); got != "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Error(got)
	}
}

func FuzzBytes(f *testing.F) {
	f.Add([]byte(`{"b":[1.50,null],"a":"\u00f6"}`))
	f.Add([]byte(`[1e400]`))
	f.Fuzz(func(t *testing.T, in []byte) {
		once, err := canonical.Bytes(in)
		if err != nil {
			return
		}
		twice, err := canonical.Bytes(once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%q, again %q, %v", once, twice, err)
		}
		if !json.Valid(once) {
			t.Fatalf("%q is no JSON", once)
		}
	})
}
