package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/demarc/demarc/internal/wire"
)

// NotifyAgent sends the agent a note. An agent that is not connected misses
// it: notes only hasten what happens anyway.
func (b *Bus) NotifyAgent(ctx context.Context, tenantID, agentID string, note wire.Note) error {
	if err := checkID("agent", agentID); err != nil {
		return err
	}
	t, err := b.tenant(ctx, tenantID)
	if err != nil {
		return err
	}
	data, err := json.Marshal(note)
	if err != nil {
		return fmt.Errorf("note to agent %s: %w", agentID, err)
	}
	if err := b.hub.Publish(notesPrefix+"."+t.account+"."+agentID, data); err != nil {
		return fmt.Errorf("note to agent %s: %w", agentID, err)
	}
	return nil
}

// Publish tells every server, this one included, of an event. Topic is dotted,
// "posture.<tenant>". Who is not connected misses it.
func (b *Bus) Publish(topic string, data []byte) error {
	if err := checkTopic(topic, false); err != nil {
		return err
	}
	if err := b.hub.Publish(eventsPrefix+"."+topic, data); err != nil {
		return fmt.Errorf("publish %s: %w", topic, err)
	}
	return nil
}

// Subscribe calls handle, one call at a time, for every event whose topic
// matches the pattern ("posture.*", "posture.>") until cancel is called.
func (b *Bus) Subscribe(pattern string, handle func(topic string, data []byte)) (cancel func(), err error) {
	if err := checkTopic(pattern, true); err != nil {
		return nil, err
	}
	sub, err := b.hub.Subscribe(eventsPrefix+"."+pattern, func(m *nats.Msg) {
		handle(strings.TrimPrefix(m.Subject, eventsPrefix+"."), m.Data)
	})
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", pattern, err)
	}
	// Events published from now on must be seen.
	if err := b.hub.FlushTimeout(connectTimeout); err != nil {
		sub.Unsubscribe()
		return nil, fmt.Errorf("subscribe to %s: %w", pattern, err)
	}
	return func() { sub.Unsubscribe() }, nil
}

func checkTopic(topic string, wildcards bool) error {
	for t := range strings.SplitSeq(topic, ".") {
		if !token.MatchString(t) && !(wildcards && (t == "*" || t == ">")) {
			return fmt.Errorf("bus: %.100q is no topic", topic)
		}
	}
	return nil
}
