package api

import (
	"context"
	"io"
	"iter"
	"time"
)

// Target is something that sessions of the provider's people can reach.
type Target struct {
	ID   string `json:"id" doc:"id of the target"`
	Name string `json:"name"`
	Kind string `json:"kind" enum:"host,web" doc:"host is reached by SSH, web by the proxy for web consoles"`
	// Address is HOST:PORT of a host, the URL of a web console.
	Address  string   `json:"address" doc:"HOST:PORT of a host, URL of a web console"`
	User     string   `json:"user,omitempty" doc:"account that sessions have on a host"`
	HostKeys []string `json:"host_keys,omitempty" doc:"public keys that the host is known by"`
	// Fingerprints are those of HostKeys, as ssh shows them.
	Fingerprints []string  `json:"fingerprints,omitempty" doc:"SHA256 fingerprints of the host keys, as ssh shows them"`
	HostCA       []string  `json:"host_ca,omitempty" doc:"public keys of authorities whose host certificates are accepted"`
	CA           string    `json:"ca,omitempty" doc:"PEM certificates of who vouches for the web console"`
	Pin          string    `json:"pin,omitempty" doc:"sha256:<64 hex digits> of the web console's public key (SubjectPublicKeyInfo)"`
	CreatedAt    time.Time `json:"created_at"`
}

// NewTarget is a target to be registered.
type NewTarget struct {
	Name     string   `json:"name" minLength:"1" maxLength:"63" doc:"people sign in by it: a-z, 0-9, '.' and '-'" example:"hv-1"`
	Kind     string   `json:"kind" enum:"host,web" doc:"host is reached by SSH, web by the proxy for web consoles"`
	Address  string   `json:"address" minLength:"1" maxLength:"500" doc:"HOST or HOST:PORT of a host, https URL of a web console" example:"hv-1.example.org:22"`
	User     string   `json:"user,omitempty" maxLength:"32" doc:"account that sessions have on a host, such as root"`
	HostKeys []string `json:"host_keys,omitempty" maxItems:"16" doc:"public keys of the host, as in 'ssh-ed25519 AAAA...'; these or host_ca"`
	HostCA   []string `json:"host_ca,omitempty" maxItems:"16" doc:"public keys of authorities that sign host keys"`
	CA       string   `json:"ca,omitempty" maxLength:"65536" doc:"PEM certificates of who vouches for a web console; this or pin"`
	Pin      string   `json:"pin,omitempty" maxLength:"80" doc:"sha256:<64 hex digits> of a web console's public key (SubjectPublicKeyInfo)"`
}

// GatewayKeys are what targets and users need to know of the gateway.
type GatewayKeys struct {
	// TrustedUserCA is the line for the file that TrustedUserCAKeys of a target names.
	TrustedUserCA string `json:"trusted_user_ca" doc:"line for the file that TrustedUserCAKeys names in the sshd_config of a target"`
	// HostKey is the gateway's own, by which its users know it.
	HostKey     string `json:"host_key" doc:"the gateway's own public key"`
	Fingerprint string `json:"fingerprint" doc:"SHA256 fingerprint of host_key, as ssh shows it"`
	// Address is where the gateway listens; missing if it does not.
	Address string `json:"address,omitempty" doc:"HOST:PORT of the gateway; missing if it does not run"`
	// Proxy is where web consoles are reached; missing if they are not.
	Proxy string `json:"proxy,omitempty" doc:"URL of the proxy for web consoles; missing if it does not run"`
}

// NewCertificate asks for a certificate under a grant.
type NewCertificate struct {
	PublicKey string `json:"public_key" minLength:"1" maxLength:"16384" doc:"public key to certify, as in 'ssh-ed25519 AAAA...'"`
}

// Certificate lets the holder of a grant in at the gateway.
type Certificate struct {
	Certificate string      `json:"certificate" doc:"line for a file KEY-cert.pub of OpenSSH"`
	Targets     []string    `json:"targets" doc:"names of the targets that it is good for; each is the user name to sign in with"`
	Expires     time.Time   `json:"expires"`
	Gateway     GatewayKeys `json:"gateway" doc:"where to sign in"`
}

// NewConsole asks for a web console under a grant.
type NewConsole struct {
	Target string `json:"target" minLength:"1" maxLength:"100" doc:"id or name of the target"`
}

// ConsoleTicket opens a web console, once and soon.
type ConsoleTicket struct {
	URL     string    `json:"url" doc:"opens the console, once"`
	Expires time.Time `json:"expires"`
}

// Session is the recording of a session in a tenant's environment.
type Session struct {
	ID         string     `json:"id" doc:"id of the session"`
	Grant      string     `json:"grant" doc:"id of the grant that it was opened under"`
	Holder     string     `json:"holder" doc:"id of the person who was in it"`
	HolderName string     `json:"holder_name,omitempty" doc:"name of the person"`
	Target     string     `json:"target" doc:"id of the target"`
	TargetName string     `json:"target_name" doc:"name of the target"`
	Kind       string     `json:"kind" enum:"shell,exec,sftp,forward,web" doc:"what it was opened for"`
	State      string     `json:"state" enum:"open,complete,cut" doc:"cut: the server ended, or could not record, before the session was closed"`
	Reason     string     `json:"reason,omitempty" doc:"why it ended"`
	Started    time.Time  `json:"started" doc:"when it began"`
	Ended      *time.Time `json:"ended,omitempty" doc:"when it ended"`
	Segments   int64      `json:"segments" doc:"how many parts are sealed in the ledger"`
	Bytes      int64      `json:"bytes" doc:"size of what is sealed"`
	Seconds    float64    `json:"seconds" doc:"time of the last sealed event since the beginning"`
	Chain      string     `json:"chain,omitempty" doc:"digest of the last sealed part and all before it, as the ledger has it"`
}

// SessionVerification says whether a recording is what was sealed.
type SessionVerification struct {
	Whole    bool    `json:"whole" doc:"every sealed part is there, as it was sealed"`
	Segments int64   `json:"segments" doc:"parts that were found right"`
	Bytes    int64   `json:"bytes" doc:"size of what was found right"`
	Seconds  float64 `json:"seconds" doc:"time until which it was found right"`
	Fault    string  `json:"fault,omitempty" doc:"what is wrong"`
	Segment  int64   `json:"segment,omitempty" doc:"part in which it is wrong, from 1"`
	From     float64 `json:"from,omitempty" doc:"seconds since the beginning at which that part begins"`
	To       float64 `json:"to,omitempty" doc:"seconds since the beginning at which that part ends"`
}

// Targets lists the targets.
func (c *Client) Targets(ctx context.Context) iter.Seq2[Target, error] {
	return list[Target](ctx, c, nil, "v1", "targets")
}

// CreateTarget registers a target.
func (c *Client) CreateTarget(ctx context.Context, in NewTarget) (Target, error) {
	return post[Target](ctx, c, in, "v1", "targets")
}

// RemoveTarget takes a target, by id or name, out of reach.
func (c *Client) RemoveTarget(ctx context.Context, ref string) error {
	return c.do(ctx, call{method: "DELETE", segments: []string{"v1", "targets", ref}}, nil)
}

// GatewayKeys reads what targets and users need to know of the gateway.
func (c *Client) GatewayKeys(ctx context.Context) (GatewayKeys, error) {
	return get[GatewayKeys](ctx, c, nil, "v1", "targets", "ca")
}

// Certify makes a certificate for a key of the grant's holder.
func (c *Client) Certify(ctx context.Context, grant string, in NewCertificate) (Certificate, error) {
	return post[Certificate](ctx, c, in, "v1", "grants", grant, "certificate")
}

// OpenConsole makes a ticket for a web console.
func (c *Client) OpenConsole(ctx context.Context, grant string, in NewConsole) (ConsoleTicket, error) {
	return post[ConsoleTicket](ctx, c, in, "v1", "grants", grant, "console")
}

// Sessions lists a tenant's recorded sessions, the oldest first; those under
// one grant, or in one state, where these are not empty.
func (c *Client) Sessions(ctx context.Context, tenant, grant, state string) iter.Seq2[Session, error] {
	return list[Session](ctx, c, params("grant", grant, "state", state), "v1", "tenants", tenant, "sessions")
}

// Session reads one recorded session.
func (c *Client) Session(ctx context.Context, tenant, id string) (Session, error) {
	return get[Session](ctx, c, nil, "v1", "tenants", tenant, "sessions", id)
}

// VerifySession compares a recording with the ledger.
func (c *Client) VerifySession(ctx context.Context, tenant, id string) (SessionVerification, error) {
	return get[SessionVerification](ctx, c, nil, "v1", "tenants", tenant, "sessions", id, "verification")
}

// SessionCast writes a recording (asciicast v2), which the server verifies
// first. safe leaves out what could harm a terminal. Each call is recorded in
// the ledger as a viewing.
func (c *Client) SessionCast(ctx context.Context, w io.Writer, tenant, id string, safe bool) error {
	q := params()
	if safe {
		q.Set("safe", "true")
	}
	return download(ctx, c, w, q, "v1", "tenants", tenant, "sessions", id, "cast")
}
