package identity

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/store"
)

// Slowed tells that somebody has failed to sign in so often that the next try
// must wait.
type Slowed struct{ After time.Duration }

// Error implements error.
func (s *Slowed) Error() string {
	return fmt.Sprintf("too many failed sign-ins; try again in %s, or sign in with a passkey", s.After.Round(time.Second))
}

// limit says how failures slow: the first are free, then each doubles the
// wait, up to most.
type limit struct {
	free        int
	first, most time.Duration
}

var (
	// An address may be that of many people, so it has more tries.
	perSource = limit{20, time.Second, 5 * time.Minute}
	// Guessing at one account from one place slows there, and nowhere else.
	perAccountHere = limit{5, time.Second, 15 * time.Minute}
	// Guessing at one account from everywhere slows little: whoever it belongs
	// to must be able to sign in meanwhile.
	perAccount = limit{50, time.Second, 30 * time.Second}
)

// failuresKept is how long failures count after the last one.
const failuresKept = 24 * time.Hour

func (l limit) wait(failures int) time.Duration {
	n := failures - l.free
	switch {
	case n < 0:
		return 0
	case n > 20:
		return l.most
	}
	return min(l.first<<n, l.most)
}

// counter is one count of failures.
type counter struct {
	who string
	limit
	// forgiven counters end with a success; others lose only the try itself,
	// so that an attacker's failures are not forgotten with it.
	forgiven bool
}

// Visit is how a request came.
type Visit struct {
	// From is the address, HOST:PORT.
	From string
	// Client is the kind of browser or program.
	Client string
	// Device is the cookie that an earlier sign-in left.
	Device string
}

// source is the address that failures are counted for: of IPv6 the network of
// 64 bits, which one customer of an Internet provider has to itself.
func (v Visit) source() string {
	at, err := netip.ParseAddrPort(v.From)
	if err != nil {
		return "local"
	}
	a := at.Addr().Unmap()
	if a.Is6() {
		p, _ := a.Prefix(64)
		return p.String()
	}
	return a.String()
}

// counters are those that a try at an account counts in. A device that the
// person signed in with before has its own, so that nobody else can slow it.
func (i *Identities) counters(ctx context.Context, v Visit, account, device string) ([]counter, error) {
	digest := func(parts ...string) (string, error) { return i.mac(ctx, append([]string{"attempt"}, parts...)...) }
	if device != "" {
		own, err := digest("device", account, device)
		return []counter{{own, perAccountHere, true}}, err
	}
	source, err := digest("source", v.source())
	if err != nil {
		return nil, err
	}
	here, err := digest("here", account, v.source())
	if err != nil {
		return nil, err
	}
	everywhere, err := digest("account", account)
	return []counter{{source, perSource, false}, {here, perAccountHere, true}, {everywhere, perAccount, false}}, err
}

func lock(tx *store.Tx, cs []counter) error {
	who := make([]string, len(cs))
	for n, c := range cs {
		who[n] = c.who
	}
	return tx.LockAttempts(who)
}

// charge counts a try as failed before it is made, so that tries at once are
// counted as well as tries in turn. *Slowed if it must wait; it is not counted
// then.
func (i *Identities) charge(ctx context.Context, cs []counter) error {
	return i.Store.Write(ctx, func(tx *store.Tx) error {
		if err := lock(tx, cs); err != nil {
			return err
		}
		now := i.Now()
		counts := make([]int, len(cs))
		for n, c := range cs {
			failures, last, err := tx.Attempts(c.who)
			if err != nil {
				return err
			}
			// A clock that was set back makes last lie ahead: then nobody waits.
			ago := now.Sub(last)
			if ago > failuresKept {
				failures = 0
			}
			if wait := c.wait(failures); ago >= 0 && ago < wait {
				return &Slowed{wait - ago}
			}
			counts[n] = failures + 1
		}
		for n, c := range cs {
			if err := tx.SetAttempts(c.who, counts[n], now); err != nil {
				return err
			}
		}
		return nil
	})
}

// forgive takes back what charge counted, after a success.
func (i *Identities) forgive(tx *store.Tx, cs []counter) error {
	if err := lock(tx, cs); err != nil {
		return err
	}
	for _, c := range cs {
		failures, last, err := tx.Attempts(c.who)
		if err != nil {
			return err
		}
		if failures--; c.forgiven {
			failures = 0
		}
		if err := tx.SetAttempts(c.who, failures, last); err != nil {
			return err
		}
	}
	return nil
}

// deviceLife is how long a device counts as known.
const deviceLife = 180 * 24 * time.Hour

// device makes the value of the cookie that makes a browser known as one that
// the person signed in with. It admits nobody; it only keeps failures from
// elsewhere from slowing this browser.
func (i *Identities) device(ctx context.Context, p access.Principal) (string, error) {
	body := p.ID + "." + secret()[:16] + "." + strconv.FormatInt(i.Now().Unix(), 10)
	sum, err := i.mac(ctx, "device", body)
	return body + "." + sum, err
}

// knownDevice returns the device's id if the cookie is of that person.
func (i *Identities) knownDevice(ctx context.Context, cookie, principal string) (string, error) {
	parts := strings.Split(cookie, ".")
	if len(cookie) > 300 || len(parts) != 4 || parts[0] != principal {
		return "", nil
	}
	sum, err := i.mac(ctx, "device", strings.Join(parts[:3], "."))
	if err != nil {
		return "", err
	}
	at, err := strconv.ParseInt(parts[2], 10, 64)
	if !equal(sum, parts[3]) || err != nil || i.Now().Sub(time.Unix(at, 0)) > deviceLife {
		return "", nil
	}
	return parts[1], nil
}
