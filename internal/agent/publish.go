package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/demarc/demarc/internal/wire"
)

const (
	linger         = 100 * time.Millisecond
	batchBytes     = 1 << 20 // of records, before compression
	publishTimeout = 15 * time.Second
	retryFirst     = 250 * time.Millisecond
	retryLongest   = 30 * time.Second
)

// source is what the publisher needs of a spool.
type source interface {
	Epoch() string
	Wait(ctx context.Context, after uint64) error
	Read(after uint64, maxRecords, maxBytes int) (first uint64, records [][]byte, err error)
	Cut(seq uint64) error
	Refuse()
}

// request publishes a message and returns the bus's answer.
type request func(ctx context.Context, message []byte) ([]byte, error)

// publisher empties a spool onto the bus. One batch is under way at a time: the
// next one goes when the bus has that one on disk. That keeps the order under
// every retry; a batch holds up to two thousand records, so it costs little.
type publisher struct {
	spool   source
	send    request
	log     *slog.Logger
	changed func()
	retry   chan struct{} // says that a new attempt may well succeed

	mu    sync.Mutex // guards what follows
	fault string     // why the last attempt failed
	acked time.Time  // when the bus last took a batch
}

// run publishes until ctx ends or the spool closes.
func (p *publisher) run(ctx context.Context) error {
	var sent uint64
	for {
		if err := p.spool.Wait(ctx, sent); err != nil {
			return err
		}
		first, records, err := p.spool.Read(sent, wire.MaxBatchRecords, batchBytes)
		if err != nil {
			return err
		}
		if len(records) < wire.MaxBatchRecords/4 {
			// Little waits: more may come that can travel along.
			if !sleep(ctx, linger) {
				return ctx.Err()
			}
			if first, records, err = p.spool.Read(sent, wire.MaxBatchRecords, batchBytes); err != nil {
				return err
			}
		}
		n := 0 // none if all that waited was lost to damage, which the spool has counted
		if len(records) > 0 {
			if n, err = p.deliver(ctx, first, records); err != nil {
				return err
			}
		}
		sent = first + uint64(n) - 1
		if err := p.spool.Cut(sent); err != nil {
			// The records are safe with the server. To send them again after
			// a restart is harmless.
			p.log.Warn("cut spool", slog.Any("error", err))
		}
	}
}

// deliver sends as many of the records as fit into one message, again and
// again until the bus has them, and returns their number.
func (p *publisher) deliver(ctx context.Context, first uint64, records [][]byte) (int, error) {
	pause := retryFirst
	for {
		message, err := wire.EncodeRaw(p.spool.Epoch(), first, time.Now(), records)
		switch {
		case errors.Is(err, wire.ErrTooLarge) && len(records) > 1:
			records = records[:len(records)/2]
			continue
		case err != nil:
			p.log.Error("a record cannot be sent and is dropped", slog.Any("error", err))
			p.spool.Refuse()
			return 1, nil
		}
		err = p.attempt(ctx, message)
		if err == nil {
			p.note("")
			return len(records), nil
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		p.note(err.Error())
		if !p.pause(ctx, jitter(pause)) {
			return 0, ctx.Err()
		}
		pause = min(2*pause, retryLongest)
	}
}

// again ends the pause before the next attempt. It never blocks.
func (p *publisher) again() {
	select {
	case p.retry <- struct{}{}:
	default:
	}
}

// pause waits, less if again is called, and reports whether ctx still lives.
func (p *publisher) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.retry:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

func (p *publisher) attempt(ctx context.Context, message []byte) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	answer, err := p.send(ctx, message)
	if err != nil {
		return err
	}
	return checkAck(answer)
}

// checkAck reads a JetStream publish acknowledgement (NATS ADR-22). Only one
// that names a stream and a sequence says that the message is on disk.
func checkAck(answer []byte) error {
	var ack struct {
		Stream string
		Seq    uint64
		Error  *struct {
			Code        int
			Description string
		}
	}
	if err := json.Unmarshal(answer, &ack); err != nil {
		return errors.New("the bus answered something else than an acknowledgement")
	}
	if ack.Error != nil {
		return fmt.Errorf("the bus does not take records now: %s (%d)", clip(ack.Error.Description, 200), ack.Error.Code)
	}
	if ack.Stream == "" || ack.Seq == 0 {
		return errors.New("the bus answered without saying that it stored the records")
	}
	return nil
}

func (p *publisher) note(fault string) {
	p.mu.Lock()
	was := p.fault
	p.fault = fault
	if fault == "" {
		p.acked = time.Now()
	}
	p.mu.Unlock()
	switch {
	case was == "" && fault != "":
		p.log.Warn("records cannot be sent and wait in the spool", slog.String("fault", fault))
		p.changed()
	case was != "" && fault == "":
		p.log.Info("records are sent again")
		p.changed()
	}
}

func (p *publisher) state() (fault string, acked time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault, p.acked
}
