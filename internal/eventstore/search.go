package eventstore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
)

// queryTimeout bounds one question.
const queryTimeout = 30 * time.Second

// Query implements Store.
func (e *embedded) Query(ctx context.Context, tenant uint32, text string, from, to time.Time, limit int) ([]Event, error) {
	if err := checkQuery(text, from, to, limit); err != nil {
		return nil, err
	}
	filter, err := parseFilter(text)
	if err != nil {
		return nil, err
	}
	return e.run(ctx, tenant, filter+newestFirst(limit), from, to)
}

// Existing implements Store.
func (e *embedded) Existing(ctx context.Context, tenant uint32, agent, epoch string, first, last uint64) (map[uint64]struct{}, error) {
	events, err := e.run(ctx, tenant, existingQuery(agent, epoch, first, last), time.Unix(0, 0), time.Now().Add(7*24*time.Hour))
	if err != nil {
		return nil, err
	}
	return sequences(events), nil
}

func (e *embedded) run(ctx context.Context, tenant uint32, text string, from, to time.Time) ([]Event, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.life.RUnlock()
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	q, err := logstorage.ParseQueryAtTimestamp(text, time.Now().UnixNano())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrQuery, err)
	}
	q.AddTimeFilter(from.UnixNano(), to.UnixNano())
	var stats logstorage.QueryStats
	// One tenant only: with several the library wants them sorted.
	tenants := []logstorage.TenantID{{AccountID: tenant}}
	qctx := logstorage.NewQueryContext(ctx, &stats, tenants, q, false, nil)
	var mu sync.Mutex // the library calls from several goroutines
	var found []Event
	var bad error
	err = e.storage.RunQuery(qctx, func(_ uint, block *logstorage.DataBlock) {
		mu.Lock()
		defer mu.Unlock()
		columns := block.GetColumns(false)
		for row := range block.RowsCount() {
			ev := Event{Tenant: tenant}
			for _, c := range columns {
				if err := ev.set(c.Name, c.Values[row]); err != nil && bad == nil {
					bad = err
				}
			}
			found = append(found, ev)
		}
	})
	switch {
	case caller.Err() != nil:
		return nil, caller.Err()
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%w: it took longer than %s: ask for less time or fewer words", ErrQuery, queryTimeout)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrQuery, err)
	case bad != nil:
		return nil, bad
	}
	slices.SortStableFunc(found, func(a, b Event) int { return b.Time.Compare(a.Time) })
	return found, nil
}

// set fills the member that a field of the store stands for. The value is copied.
func (ev *Event) set(field, value string) (err error) {
	switch field {
	case "_time":
		ev.Time, err = time.Parse(time.RFC3339Nano, value)
		ev.Time = ev.Time.UTC()
	case "agent":
		ev.Agent = strings.Clone(value)
	case "vm":
		ev.VM = strings.Clone(value)
	case "kind":
		ev.Kind = strings.Clone(value)
	case "class":
		ev.Class = strings.Clone(value)
	case "epoch":
		ev.Epoch = strings.Clone(value)
	case "seq":
		ev.Seq, err = strconv.ParseUint(value, 10, 64)
	case "_msg":
		ev.Data = json.RawMessage(value)
	}
	if err != nil {
		return fmt.Errorf("event store: field %s of a stored event: %w", field, err)
	}
	return nil
}

// parseFilter accepts a LogsQL filter and returns it in the library's own
// writing, so that no comment, option or pipe of the text reaches what follows.
func parseFilter(text string) (string, error) {
	if strings.TrimSpace(text) == "" {
		return "*", nil
	}
	f, err := logstorage.ParseFilter(text)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrQuery, err)
	}
	return "(" + f.String() + ")", nil
}

func newestFirst(limit int) string {
	return " | sort by (_time desc) limit " + strconv.Itoa(limit)
}

func existingQuery(agent, epoch string, first, last uint64) string {
	return fmt.Sprintf(`{agent=%s} epoch:=%s seq:range[%d, %d] | fields seq`, strconv.Quote(agent), strconv.Quote(epoch), first, last)
}

func sequences(events []Event) map[uint64]struct{} {
	set := make(map[uint64]struct{}, len(events))
	for _, ev := range events {
		set[ev.Seq] = struct{}{}
	}
	return set
}
