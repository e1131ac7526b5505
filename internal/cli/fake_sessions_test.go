package cli

import (
	"net/http"
	"time"

	"github.com/demarc/demarc/api"
)

// hostile is a recording that does to the viewer's terminal what it can.
const hostile = `{"version":2,"width":80,"height":24,"timestamp":1772546400,"title":"hv-1 under g-1\u001b]0;x\u0007"}
[0.100000,"o","# \u001b]52;c;cm0gLXJmIC8=\u0007"]
[0.900000,"i","id\r"]
[1.000000,"o","id\r\nuid=0(root)\u001b[6n\u001b]0;pwned\u0007 \u001b[31mred\u001b[0m\r\n"]
[2.000000,"m","refused: agent forwarding is refused"]
[3.000000,"r","120x40"]
`

// sessions has two recordings of acme: one whole, one changed.
func (f *fake) sessions() {
	ended := ago(50 * time.Minute)
	whole := api.Session{
		ID: "rec-01kjt5c2m8r6zv0q4y9w3x7d5g", Grant: "g-01kjt5c2m8r6zv0q4y9w3x7d6h", Holder: "p2", HolderName: "Sam Weber", Target: "tg-1", TargetName: "hv-1",
		Kind: "shell", State: "complete", Reason: "the user left", Started: ago(time.Hour), Ended: &ended, Segments: 3, Bytes: 420, Seconds: 3,
	}
	changed := whole
	changed.ID, changed.State, changed.Reason = "rec-01kjt5c2m8r6zv0q4y9w3x7d7j", "cut", "the server ended without closing it"
	f.mux.HandleFunc("GET /v1/tenants/{tenant}/sessions", func(w http.ResponseWriter, _ *http.Request) {
		send(w, 200, api.List[api.Session]{Items: []api.Session{whole, changed}})
	})
	f.mux.HandleFunc("GET /v1/tenants/{tenant}/sessions/{session}", func(w http.ResponseWriter, _ *http.Request) { send(w, 200, whole) })
	f.mux.HandleFunc("GET /v1/tenants/{tenant}/sessions/{session}/verification", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("session") == changed.ID {
			send(w, 200, api.SessionVerification{Segments: 1, Seconds: 0.9, Fault: "the bytes are not those that were sealed in ledger entry 7", Segment: 2, From: 0.9, To: 1})
			return
		}
		send(w, 200, api.SessionVerification{Whole: true, Segments: 3, Bytes: 420, Seconds: 3})
	})
	f.mux.HandleFunc("GET /v1/tenants/{tenant}/sessions/{session}/cast", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("session") == changed.ID {
			refuse(w, 409, "the recording is not what was sealed, so it is not shown: segment 2")
			return
		}
		w.Write([]byte(hostile)) // whatever it was asked for: the viewer must not rely on the server
	})
	f.mux.HandleFunc("GET /v1/targets", func(w http.ResponseWriter, _ *http.Request) {
		send(w, 200, api.List[api.Target]{Items: []api.Target{
			{ID: "tg-01kjt5c2m8r6zv0q4y9w3x7d8k", Name: "hv-1", Kind: "host", Address: "hv-1.example.org:22", User: "root", Fingerprints: []string{"SHA256:KQPJvZKgLAT5il99Q36VcgGyMSxkKs5PDuCrSQfzbIs"}},
			{ID: "tg-01kjt5c2m8r6zv0q4y9w3x7d9m", Name: "vcenter", Kind: "web", Address: "https://vcenter.example.org", CA: "PEM"},
		}})
	})
	f.mux.HandleFunc("POST /v1/targets", func(w http.ResponseWriter, r *http.Request) {
		in, ok := receive[api.NewTarget](w, r)
		if ok {
			send(w, 201, api.Target{ID: "tg-2", Name: in.Name, Kind: in.Kind, Address: in.Address, User: in.User, HostKeys: in.HostKeys, Fingerprints: in.HostKeys, Pin: in.Pin})
		}
	})
	f.mux.HandleFunc("DELETE /v1/targets/{target}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
}
