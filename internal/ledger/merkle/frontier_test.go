package merkle

import (
	"encoding/hex"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

// The leaves and roots are those that Certificate Transparency's own
// implementations test RFC 6962 section 2.1 with.
func TestRootsOfRFC6962(t *testing.T) {
	leaves := []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	roots := []string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	var f Frontier
	for i, want := range roots {
		if got := f.Root(); hex.EncodeToString(got[:]) != want {
			t.Errorf("root of %d leaves is %x, want %s", i, got[:], want)
		}
		if i < len(leaves) {
			data, err := hex.DecodeString(leaves[i])
			if err != nil {
				t.Fatal(err)
			}
			f.Append(tlog.RecordHash(data), func(int, int64, tlog.Hash) {})
		}
	}
}

// The nodes that a frontier reports are those that package tlog stores, and its
// root is tlog's, whenever it is written out and read back.
func TestFrontierAgreesWithTlog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(1, 70_000).Draw(t, "size")
		every := rapid.Int64Range(1, 5000).Draw(t, "reopened every")
		var stored hashes
		f := new(Frontier)
		for i := range n {
			leaf := tlog.RecordHash([]byte{byte(i), byte(i >> 8), byte(i >> 16)})
			more, err := tlog.StoredHashesForRecordHash(i, leaf, stored)
			if err != nil {
				t.Fatal(err)
			}
			stored = append(stored, more...)
			f.Append(leaf, func(level int, index int64, h tlog.Hash) {
				if want := stored[tlog.StoredHashIndex(level*TileHeight, index)]; h != want {
					t.Fatalf("leaf %d: hash %d of level %d is %v, want %v", i, index, level, h, want)
				}
			})
			if i%every == 0 {
				if f, err = ParseFrontier(f.Size(), f.Bytes()); err != nil {
					t.Fatal(err)
				}
			}
		}
		want, err := tlog.TreeHash(n, stored)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Root(); got != want {
			t.Fatalf("root of %d leaves is %v, want %v", n, got, want)
		}
	})
}

func TestParseFrontierRefusesWrongLength(t *testing.T) {
	for _, c := range []struct {
		size  int64
		bytes int
	}{{-1, 0}, {0, 32}, {3, 32}, {4, 31}, {4, 64}} {
		if _, err := ParseFrontier(c.size, make([]byte, c.bytes)); err == nil {
			t.Errorf("size %d with %d bytes was accepted", c.size, c.bytes)
		}
	}
}

// hashes is tlog's own storage, in memory.
type hashes []tlog.Hash

func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		found[i] = h[x]
	}
	return found, nil
}
