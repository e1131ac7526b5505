package identity

// oidcData is what is sealed of a person's account at an identity provider.
type oidcData struct {
	Provider string `json:"provider"` // its name
	ID       string `json:"id"`
	Subject  string `json:"subject"`
}
