package ledger

import (
	"errors"
	"strings"

	"filippo.io/torchwood"
)

// splitNote separates a stored checkpoint from its signature lines, without
// verifying them.
func splitNote(signed string) (signatures string, c torchwood.Checkpoint, err error) {
	text, signatures, ok := strings.Cut(signed, "\n\n")
	if !ok {
		return "", torchwood.Checkpoint{}, errors.New("malformed note")
	}
	c, err = torchwood.ParseCheckpoint(text + "\n")
	return signatures, c, err
}
