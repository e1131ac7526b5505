package signed

import (
	"errors"
	"strings"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
)

// CosignedAt reads the time, to the second, from a cosignature's line. Verify the
// line first.
func CosignedAt(line string) (time.Time, error) {
	_, encoded, ok := strings.Cut(strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "— "), " ")
	if !ok {
		return time.Time{}, errors.New("malformed signature line")
	}
	unix, err := torchwood.CosignatureTimestamp(note.Signature{Base64: encoded})
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(unix, 0).UTC(), nil
}
