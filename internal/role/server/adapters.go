package server

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/demarc/demarc/internal/bus"
	"github.com/demarc/demarc/internal/events"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/ingest"
	"github.com/demarc/demarc/internal/posture"
	"github.com/demarc/demarc/internal/store"
)

// delivery gives a message of the bus the form that ingest asks for.
type delivery struct{ d bus.Delivery }

func (d delivery) Tenant() string                  { return d.d.Tenant }
func (d delivery) Agent() string                   { return d.d.Agent }
func (d delivery) Data() []byte                    { return d.d.Data }
func (d delivery) Received() time.Time             { return d.d.Stored }
func (d delivery) Ack() error                      { return d.d.Ack() }
func (d delivery) Retry(after time.Duration) error { return d.d.Retry(after) }
func (d delivery) Reject(reason string) error      { return d.d.Reject(reason) }

// judge lets ingest hand observations to posture.
type judge struct{ engine *posture.Engine }

// Apply implements ingest.Judge.
func (j judge) Apply(tx *store.Tx, obs ingest.Observation) error {
	u := posture.Update{Subject: obs.Subject, Source: "agent/" + obs.Agent, Facts: make([]posture.FactUpdate, len(obs.Facts))}
	for i, f := range obs.Facts {
		u.Facts[i] = posture.FactUpdate(f)
	}
	err := j.engine.Apply(tx, u)
	if errors.Is(err, posture.ErrResync) {
		return ingest.ErrResync
	}
	return err
}

// changesTopic carries changed judgements between the servers of one
// installation, so that a watcher hears of them wherever it is connected.
const changesTopic = "posture.changed"

// changes publishes judgements over the bus and hands those of all servers to
// the broker.
type changes struct {
	bus    *bus.Bus
	broker *events.Broker
	log    *slog.Logger
}

func (c changes) publish(js []evidence.Judgement) {
	const atOnce = 50 // keeps a message far below the bus's limit
	for len(js) > 0 {
		n := min(atOnce, len(js))
		data, err := json.Marshal(js[:n])
		if err == nil {
			err = c.bus.Publish(changesTopic, data)
		}
		if err != nil {
			c.log.Warn("changed verdicts were not published; open pages show them at their next look", "error", err)
		}
		js = js[n:]
	}
}

func (c changes) run(ctx context.Context) error {
	cancel, err := c.bus.Subscribe(changesTopic, func(_ string, data []byte) {
		var js []evidence.Judgement
		if err := json.Unmarshal(data, &js); err != nil {
			c.log.Error("a message between servers cannot be read", "error", err)
			return
		}
		c.broker.Publish(js)
	})
	if err != nil {
		return err
	}
	defer cancel()
	<-ctx.Done()
	return nil
}
