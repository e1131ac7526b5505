package witness

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/demarc/demarc/internal/ledger/signed"
)

// maxRequest bounds a request: 63 hashes and a checkpoint.
const maxRequest = 64*45 + signed.MaxNote

// maxProof is the greatest number of hashes that C2SP tlog-witness allows.
const maxProof = 63

// ServeHTTP serves POST /add-checkpoint, and GET /<origin hash>/checkpoint, of
// C2SP tlog-witness.
func (w *Witness) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	switch hash, ok := strings.CutSuffix(strings.TrimPrefix(req.URL.Path, "/"), "/checkpoint"); {
	case req.URL.Path == "/add-checkpoint" && req.Method == http.MethodPost:
		w.addCheckpoint(rw, req)
	case ok && (req.Method == http.MethodGet || req.Method == http.MethodHead):
		w.checkpoint(rw, hash)
	case req.URL.Path == "/add-checkpoint" || ok:
		http.Error(rw, "method not allowed", http.StatusMethodNotAllowed)
	default:
		http.NotFound(rw, req)
	}
}

func (w *Witness) addCheckpoint(rw http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(rw, req.Body, maxRequest))
	if err != nil {
		http.Error(rw, "the request cannot be read or is too large", http.StatusBadRequest)
		return
	}
	r, err := parseRequest(body)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	lines, err := w.cosign(r)
	if refused, ok := errors.AsType[*refusal](err); ok {
		if refused.status == http.StatusConflict {
			rw.Header().Set("Content-Type", "text/x.tlog.size")
			rw.WriteHeader(refused.status)
			fmt.Fprintf(rw, "%d\n", refused.size)
			return
		}
		http.Error(rw, refused.reason, refused.status)
		return
	}
	if err != nil {
		w.logger.ErrorContext(req.Context(), "a checkpoint was not cosigned", "origin", r.origin, "error", err)
		http.Error(rw, "internal error", http.StatusInternalServerError)
		return
	}
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	rw.Write(lines)
}

// checkpoint serves the last checkpoint that was cosigned of a ledger.
func (w *Witness) checkpoint(rw http.ResponseWriter, hash string) {
	for origin, log := range w.logs {
		if originHash(origin) != hash {
			continue
		}
		log.mu.Lock()
		note := log.note
		log.mu.Unlock()
		if note != nil {
			rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
			rw.Write(note)
			return
		}
	}
	http.Error(rw, "no checkpoint of this ledger was cosigned", http.StatusNotFound)
}

// request is an add-checkpoint request.
type request struct {
	old    int64
	proof  tlog.TreeProof
	origin string
	note   []byte
}

var errRequest = errors.New("malformed request: want \"old <size>\", up to 63 lines of a proof, an empty line and a checkpoint")

// parseRequest reads the body of an add-checkpoint request. Its checkpoint is not
// verified.
func parseRequest(body []byte) (request, error) {
	head, signedNote, ok := bytes.Cut(body, []byte("\n\n"))
	if !ok {
		return request{}, errRequest
	}
	lines := strings.Split(string(head), "\n")
	size, ok := strings.CutPrefix(lines[0], "old ")
	old, err := strconv.ParseInt(size, 10, 64)
	if !ok || err != nil || old < 0 || strconv.FormatInt(old, 10) != size {
		return request{}, errRequest
	}
	if len(lines)-1 > maxProof {
		return request{}, errRequest
	}
	r := request{old: old, note: signedNote}
	for _, line := range lines[1:] {
		h, err := tlog.ParseHash(line)
		if err != nil {
			return request{}, errRequest
		}
		r.proof = append(r.proof, h)
	}
	r.origin, _, ok = strings.Cut(string(signedNote), "\n")
	if !ok {
		return request{}, errRequest
	}
	return r, nil
}
