package agent

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/demarc/demarc/internal/decision"
	"github.com/demarc/demarc/internal/wire"
)

const (
	policiesEvery = 5 * time.Minute
	// policiesLook is how often it is looked whether a policy has ended.
	policiesLook = 30 * time.Second
	// maxRefused bounds what is told of policies that are refused.
	maxRefused = 16
)

// policies keeps the policies that the customer signed for this machine, and
// tells observers of them.
type policies struct {
	dir   string
	creds *credentials
	log   *slog.Logger
	now   func() time.Time
	// changed asks for a report, tell says that a service's policy changed.
	changed func()
	tell    func(service string)
	kick    chan struct{}

	mu      sync.Mutex // guards what follows
	state   customer
	fault   string // why the keys that the server shows do not count
	refused []wire.AgentRefusal
	inForce map[string]obeyed
	ended   []wire.AgentRefusal
}

func openPolicies(dir string, creds *credentials, log *slog.Logger, changed func(), tell func(string)) (*policies, error) {
	p := &policies{dir: dir, creds: creds, log: log, now: time.Now, changed: changed, tell: tell, kick: make(chan struct{}, 1), inForce: map[string]obeyed{}}
	state, err := loadCustomer(dir)
	if err != nil {
		return nil, err
	}
	pin, err := pinnedKeys(dir)
	if err != nil {
		return nil, err
	}
	id, _ := creds.get()
	p.state = state.under(pin, id)
	p.look()
	return p, nil
}

// ask has the policies fetched now; it never blocks.
func (p *policies) ask() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// of returns the policy of a service that counts now, and its version.
func (p *policies) of(service string) (json.RawMessage, int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o, ok := p.inForce[service]
	if !ok || o.Until != nil && !p.now().Before(*o.Until) {
		return nil, 0
	}
	return slices.Clone(o.document), int64(o.Version)
}

// run fetches at the start, when asked, and every few minutes until ctx ends.
func (p *policies) run(ctx context.Context) {
	fetch := time.NewTimer(0)
	defer fetch.Stop()
	look := time.NewTicker(policiesLook)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			p.look()
			continue
		case <-fetch.C:
		case <-p.kick:
		}
		if err := p.fetch(ctx); err != nil && ctx.Err() == nil {
			p.log.Warn("fetch the customer's policies; those that are held stay in force", slog.Any("error", err))
		}
		fetch.Reset(jitter(policiesEvery))
	}
}

func (p *policies) fetch(ctx context.Context) error {
	id, _ := p.creds.get()
	key, err := id.key()
	if err != nil {
		return err
	}
	roots, err := id.roots()
	if err != nil {
		return err
	}
	req := wire.PoliciesRequest{Agent: id.Agent, Time: time.Now().UTC(), Nonce: rand.Text()}
	if err := req.Sign(key); err != nil {
		return err
	}
	var answer wire.Policies
	err = exchange(ctx, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, id.Server, "/v1/agent/policies", "", req, wire.MaxPoliciesBytes, &answer)
	if err != nil {
		return err
	}
	return p.receive(answer)
}

// receive checks what the server sent and keeps what counts, durably before it
// is obeyed.
func (p *policies) receive(answer wire.Policies) error {
	pin, err := pinnedKeys(p.dir)
	if err != nil {
		return err
	}
	id, _ := p.creds.get()
	p.mu.Lock()
	was := p.state
	p.mu.Unlock()
	next, fault := was.under(pin, id), ""
	if pin != "" && len(answer.Keys) > 0 {
		var h decision.History
		if err := json.Unmarshal(answer.Keys, &h); err != nil {
			fault = "the keys that the server shows cannot be read"
		} else if next, err = next.follow(h); err != nil {
			fault = clip(err.Error(), 400)
		}
	}
	var refused []wire.AgentRefusal
	for _, raw := range answer.Policies {
		var s decision.Signed
		err := json.Unmarshal(raw, &s)
		if err != nil {
			err = fmt.Errorf("%w: %w", decision.ErrForm, err)
		} else {
			next, err = next.take(s)
		}
		if err != nil && len(refused) < maxRefused {
			refused = append(refused, refusal(s, claimed(s), err))
		}
	}
	same := reflect.DeepEqual(was, next)
	if !same {
		if err := next.save(p.dir); err != nil {
			return errors.Join(err, errors.New("a policy that cannot be kept is not obeyed"))
		}
	}
	p.mu.Lock()
	told := p.fault == fault && slices.Equal(p.refused, refused)
	p.state, p.fault, p.refused = next, fault, refused
	p.mu.Unlock()
	if !told {
		for _, r := range refused {
			p.log.Warn("policy refused", slog.String("service", r.Service), slog.String("decision", r.Decision), slog.String("reason", r.Reason))
		}
	}
	if !told || !same {
		p.changed()
	}
	p.look()
	return nil
}

// claimed is the service that a policy says it is for.
func claimed(s decision.Signed) string {
	var c struct{ Service string }
	_ = json.Unmarshal(s.Decision.Content, &c) // unreadable: no service
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, c.Service)
}

// look puts in force what counts now, and tells the services whose policy
// changed by it.
func (p *policies) look() {
	p.mu.Lock()
	next, ended := p.state.obey(p.now())
	was := p.inForce
	p.inForce, p.ended = next, ended
	p.mu.Unlock()
	var services []string
	for name, o := range next {
		if w, ok := was[name]; !ok || w.Digest != o.Digest {
			services = append(services, name)
		}
	}
	for name := range was {
		if _, ok := next[name]; !ok {
			services = append(services, name)
		}
	}
	for _, name := range services {
		p.log.Info("policy changed", slog.String("service", name), slog.Int("version", next[name].Version))
		p.tell(name)
	}
	if len(services) > 0 {
		p.changed()
	}
}

// report fills in what the agent obeys and refuses.
func (p *policies) report(st *wire.AgentState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state.Pin != "" {
		st.Keys = &wire.AgentKeys{Pinned: p.state.Pin, Fault: p.fault}
		if p.state.Keys != nil {
			st.Keys.Digest, _ = p.state.Keys.Digest()
			st.Keys.Version = int(p.state.Keys.Version)
		}
	}
	for _, o := range p.inForce {
		st.Policies = append(st.Policies, o.AgentPolicy)
	}
	slices.SortFunc(st.Policies, func(a, b wire.AgentPolicy) int { return strings.Compare(a.Service, b.Service) })
	st.RefusedPolicies = append(slices.Clone(p.ended), p.refused...)
}
