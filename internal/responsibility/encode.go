package responsibility

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"
)

// Encode writes a catalogue as a file that Parse reads. Fact kinds of its own
// are refused: a catalogue that was made by a program declares none.
func Encode(c *Catalogue) ([]byte, error) {
	if len(c.Facts) > 0 {
		return nil, errors.New("a catalogue that declares fact kinds is not encoded")
	}
	f := writtenFile{Name: c.Name, Version: c.Version, Title: c.Title}
	for _, ctl := range c.Controls {
		cf := writtenControl{ID: ctl.ID, Title: ctl.Title}
		for _, d := range ctl.Duties {
			cf.Duties = append(cf.Duties, formOf(d))
		}
		f.Controls = append(f.Controls, cf)
	}
	var buf bytes.Buffer
	enc := yaml.NewEncoder(&buf)
	enc.SetIndent(2)
	if err := enc.Encode(f); err != nil {
		return nil, fmt.Errorf("encode catalogue %s: %w", c.Name, err)
	}
	return buf.Bytes(), nil
}

type writtenFile struct {
	Name     string           `yaml:"name"`
	Version  string           `yaml:"version"`
	Title    string           `yaml:"title"`
	Controls []writtenControl `yaml:"controls"`
}

type writtenControl struct {
	ID     string        `yaml:"id"`
	Title  string        `yaml:"title"`
	Duties []writtenDuty `yaml:"duties"`
}

type writtenDuty struct {
	ID             string             `yaml:"id"`
	Title          string             `yaml:"title"`
	Party          Party              `yaml:"party"`
	Scope          string             `yaml:"scope"`
	Level          Level              `yaml:"level"`
	Modes          []Mode             `yaml:"modes,flow"`
	Evidence       string             `yaml:"evidence"`
	Services       []string           `yaml:"services,omitempty,flow"`
	Assessment     *writtenAssessment `yaml:"assessment,omitempty"`
	AttestationFor string             `yaml:"attestation_for,omitempty"`
}

type writtenAssessment struct {
	StaleAfter string `yaml:"stale_after"`
	Applies    string `yaml:"applies,omitempty"`
	Met        string `yaml:"met"`
	Message    string `yaml:"message"`
	Remedy     string `yaml:"remedy"`
}

func formOf(d Duty) writtenDuty {
	f := writtenDuty{
		ID: d.ID, Title: d.Title, Party: d.Party, Scope: string(d.Scope), Level: d.Level, Modes: d.Modes, Evidence: d.Evidence, Services: d.Services,
	}
	if a := d.Assessment; a != nil {
		f.Assessment = &writtenAssessment{StaleAfter: hours(a.StaleAfter), Applies: a.Applies, Met: a.Met, Message: a.Message, Remedy: a.Remedy}
	}
	if d.AttestationFor > 0 {
		f.AttestationFor = hours(d.AttestationFor)
	}
	return f
}

// hours writes a duration as Parse reads it: whole days, hours, minutes or seconds.
func hours(d time.Duration) string {
	switch {
	case d%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}
