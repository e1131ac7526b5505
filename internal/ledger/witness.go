package ledger

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/demarc/demarc/internal/ledger/signed"
	"github.com/demarc/demarc/internal/store"
)

// ErrContradicted: a witness has cosigned something else than this ledger. The
// state store was rolled back, or somebody signs with its key.
var ErrContradicted = errors.New("a witness has seen another ledger of this name")

// WitnessAddress says where a witness is and how to know it.
type WitnessAddress struct {
	URL  string // the submission prefix of C2SP tlog-witness
	VKey string // C2SP tlog-cosignature, Ed25519
}

// WitnessState is how it stands with a witness.
type WitnessState struct {
	Name string
	// Size of the last tree that it cosigned, and when.
	Size int64
	At   time.Time
	// Fault says why it has not cosigned the last checkpoint; empty otherwise.
	Fault string
	// Contradicted: the fault is ErrContradicted and will not pass.
	Contradicted bool
}

// Witnesses has a ledger's checkpoints cosigned.
type Witnesses struct {
	log    *Log
	client *http.Client
	each   []*witness
}

type witness struct {
	url      string
	vkey     string
	verifier note.Verifier

	mu    sync.Mutex
	state WitnessState // guarded by mu
	wait  time.Time    // guarded by mu; not to be asked before
	fails int          // guarded by mu; in a row
}

// NewWitnesses returns the witnesses of l. client bounds the time of a request.
func NewWitnesses(l *Log, client *http.Client, addresses []WitnessAddress) (*Witnesses, error) {
	ws := &Witnesses{log: l, client: client}
	for _, a := range addresses {
		u, err := url.Parse(a.URL)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return nil, fmt.Errorf("address of a witness: %q is not an http(s) URL", a.URL)
		}
		v, cosigner, err := signed.Verifier(a.VKey)
		if err != nil || !cosigner {
			return nil, fmt.Errorf("witness at %s: %q is not the verifier key of a witness", u.Redacted(), a.VKey)
		}
		ws.each = append(ws.each, &witness{
			url: strings.TrimSuffix(a.URL, "/") + "/add-checkpoint", vkey: a.VKey, verifier: v, state: WitnessState{Name: v.Name()},
		})
	}
	return ws, nil
}

// Run has each new checkpoint cosigned until ctx ends; then it returns nil. All
// witnesses are asked for the same checkpoint at once, so that their signatures
// meet on it. One that fails is left alone for 1, 2, 4, … and at last 60 seconds;
// one that hangs keeps the others no longer than the client's time for a request.
func (ws *Witnesses) Run(ctx context.Context) error {
	if err := ws.Restore(ctx); err != nil {
		ws.log.logger.WarnContext(ctx, "the last cosignatures cannot be read", "error", err)
	}
	tick := time.NewTicker(CheckpointEvery)
	defer tick.Stop()
	for {
		if err := ws.round(ctx, false); err != nil && ctx.Err() == nil {
			ws.log.logger.WarnContext(ctx, "the ledger is not cosigned by all witnesses", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Restore takes what each witness has cosigned from the state store.
func (ws *Witnesses) Restore(ctx context.Context) error {
	return ws.log.store.Read(ctx, func(tx *store.Tx) error {
		last, err := tx.LastLedgerCosignatures()
		if err != nil {
			return err
		}
		for _, w := range ws.each {
			for _, c := range last {
				if c.VKey == w.vkey {
					w.mu.Lock()
					w.state.Size = c.Size
					w.state.At, _ = signed.CosignedAt(c.Line)
					w.mu.Unlock()
				}
			}
		}
		return nil
	})
}

// Cosign asks every witness for the last checkpoint now, and joins their errors.
func (ws *Witnesses) Cosign(ctx context.Context) error { return ws.round(ctx, true) }

// round asks all witnesses for the last checkpoint, at once. Unless now, those
// that are to be left alone are.
func (ws *Witnesses) round(ctx context.Context, now bool) error {
	if len(ws.each) == 0 {
		return nil
	}
	var c store.LedgerCheckpoint
	err := ws.log.store.Read(ctx, func(tx *store.Tx) (err error) {
		c, err = tx.LastLedgerCheckpoint()
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	faults := make([]error, len(ws.each))
	var asked sync.WaitGroup
	for i, w := range ws.each {
		asked.Go(func() {
			if err := ws.ask(ctx, w, c, now); err != nil {
				faults[i] = fmt.Errorf("witness %s: %w", w.verifier.Name(), err)
			}
		})
	}
	asked.Wait()
	return errors.Join(faults...)
}

// State returns how it stands with each witness.
func (ws *Witnesses) State() []WitnessState {
	states := make([]WitnessState, len(ws.each))
	for i, w := range ws.each {
		w.mu.Lock()
		states[i] = w.state
		w.mu.Unlock()
	}
	return states
}

// ask has one witness cosign c, unless it has, or is to be left alone.
func (ws *Witnesses) ask(ctx context.Context, w *witness, c store.LedgerCheckpoint, now bool) error {
	w.mu.Lock()
	old, waiting := w.state.Size, !now && ws.log.now().Before(w.wait)
	w.mu.Unlock()
	if waiting || c.Size == old {
		return nil
	}
	line, err := ws.submit(ctx, w, old, c)
	if err == nil {
		err = ws.log.store.Write(ctx, func(tx *store.Tx) error {
			return tx.SetLedgerCosignature(store.LedgerCosignature{Size: c.Size, VKey: w.vkey, Line: line})
		})
	}

	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.state.Fault, w.state.Contradicted = err.Error(), errors.Is(err, ErrContradicted)
		w.wait = ws.log.now().Add(min(time.Second<<min(w.fails, 6), time.Minute))
		w.fails++
		return err
	}
	w.state = WitnessState{Name: w.state.Name, Size: c.Size}
	w.state.At, _ = signed.CosignedAt(line)
	w.wait, w.fails = time.Time{}, 0
	return nil
}

// submit sends a checkpoint and returns the witness's signature line. If the
// witness stands elsewhere than is thought, it is asked once more from there.
func (ws *Witnesses) submit(ctx context.Context, w *witness, old int64, c store.LedgerCheckpoint) (string, error) {
	for attempt := 0; ; attempt++ {
		answer, status, err := ws.post(ctx, w, old, c)
		if err != nil {
			return "", err
		}
		switch {
		case status == http.StatusOK:
			return cosignature(answer, c, w.verifier)
		case status == http.StatusConflict && attempt == 0:
			size, err := strconv.ParseInt(strings.TrimSuffix(string(answer), "\n"), 10, 64)
			if err != nil || size < 0 {
				return "", errors.New("it answered 409 without its size")
			}
			if size > c.Size {
				return "", fmt.Errorf("%w: it has cosigned %d entries, and %d are here", ErrContradicted, size, c.Size)
			}
			old = size
		case status == http.StatusUnprocessableEntity:
			return "", fmt.Errorf("%w: the tree of %d entries does not continue what it has cosigned at %d", ErrContradicted, c.Size, old)
		default:
			return "", fmt.Errorf("it answered with status %d", status)
		}
	}
}

// maxAnswer bounds what is read of a witness.
const maxAnswer = 64 << 10

func (ws *Witnesses) post(ctx context.Context, w *witness, old int64, c store.LedgerCheckpoint) (answer []byte, status int, err error) {
	var proof tlog.TreeProof
	if old > 0 && old < c.Size {
		if proof, err = ws.log.Consistency(ctx, old, c.Size); err != nil {
			return nil, 0, err
		}
	}
	var body bytes.Buffer
	fmt.Fprintf(&body, "old %d\n", old)
	for _, h := range proof {
		fmt.Fprintf(&body, "%s\n", base64.StdEncoding.EncodeToString(h[:]))
	}
	fmt.Fprintf(&body, "\n%s", c.Note)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, &body)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	resp, err := ws.client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, 0, fmt.Errorf("read its answer: %w", err)
	}
	return answer, resp.StatusCode, nil
}

// cosignature finds the valid signature of a witness among those it sent.
func cosignature(answer []byte, c store.LedgerCheckpoint, v note.Verifier) (string, error) {
	text, _, err := signed.Split([]byte(c.Note))
	if err != nil {
		return "", fmt.Errorf("%w: checkpoint %d: %w", ErrCorrupt, c.Size, err)
	}
	for line := range strings.Lines(string(answer)) {
		if signed.Signs(text, line, v) {
			return line, nil
		}
	}
	return "", errors.New("it sent no valid signature of the key that it is known by")
}
