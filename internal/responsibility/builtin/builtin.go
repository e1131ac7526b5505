// Package builtin is the catalogue that demarc brings along: the duties of the
// CLD controls of ISO/IEC 27017 and of personal data after ISO/IEC 27018.
package builtin

import (
	"embed"
	"fmt"
	"io/fs"

	"github.com/demarc/demarc/internal/responsibility"
)

// catalogue.yaml has the header and the fact kinds; the other files are
// fragments of it, one per control.
//
//go:embed *.yaml
var files embed.FS

// fragments in the order of the contract.
var fragments = []string{
	"cld-6.3.1.yaml", "cld-8.1.5.yaml", "cld-9.5.1.yaml", "cld-9.5.2.yaml",
	"cld-12.1.5.yaml", "cld-12.4.5.yaml", "cld-13.1.4.yaml", "pii.yaml",
}

// Catalogue returns the built-in catalogue. An error means that the program
// was built from broken files.
func Catalogue() (*responsibility.Catalogue, error) {
	base, err := parse("catalogue.yaml")
	if err != nil {
		return nil, err
	}
	var rest []*responsibility.Catalogue
	for _, name := range fragments {
		f, err := parse(name)
		if err != nil {
			return nil, err
		}
		rest = append(rest, f)
	}
	all, err := responsibility.Merge(base, rest...)
	if err != nil {
		return nil, fmt.Errorf("built-in catalogue: %w", err)
	}
	return all, nil
}

func parse(name string) (*responsibility.Catalogue, error) {
	data, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, fmt.Errorf("built-in catalogue: %w", err)
	}
	c, err := responsibility.Parse("builtin/"+name, data)
	if err != nil {
		return nil, fmt.Errorf("built-in catalogue: %w", err)
	}
	return c, nil
}
