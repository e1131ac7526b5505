package httpapi_test

import "strings"

// source is a catalogue file of its own with one attested duty.
func source(name string) string {
	control := "X." + strings.ToUpper(strings.ReplaceAll(name, "-", ""))
	return `name: ` + name + `
version: 1.0.0
title: The house's own duties
controls:
- id: ` + control + `
  title: Own
  duties:
  - {id: ` + control + `/C-1, title: State it., party: customer, scope: tenant, level: should, modes: [attested], evidence: A statement., attestation_for: 30d}
`
}
