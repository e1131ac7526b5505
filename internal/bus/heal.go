package bus

import (
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	healEvery = 2 * time.Second
	// healRoom is what must be free before storing is tried again.
	healRoom = 8 << 20
)

// healer brings the embedded server's streams back after its disk was full.
// NATS stops writing to a stream for good after the first failed write, since
// it cannot know what the file holds; opening the streams anew reads it.
type healer struct {
	ns   *server.Server
	cfg  server.JetStreamConfig
	log  *slog.Logger
	hurt chan struct{} // a write failed
	quit chan struct{}
	done chan struct{}
}

func newHealer(log *slog.Logger) *healer {
	return &healer{log: log, hurt: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
}

// heard is given every error that NATS logs. There is no other notice of a
// failed write.
func (h *healer) heard(line string) {
	if strings.Contains(strings.ToLower(line), "critical write error") {
		select {
		case h.hurt <- struct{}{}:
		default:
		}
	}
}

// run heals ns until stop is called.
func (h *healer) run(ns *server.Server) {
	defer close(h.done)
	h.ns = ns
	if cfg := ns.JetStreamConfig(); cfg != nil {
		h.cfg = *cfg
		// What was given to the server; it adds a folder of its own.
		h.cfg.StoreDir = filepath.Dir(cfg.StoreDir)
	}
	for {
		select {
		case <-h.quit:
			return
		case <-h.hurt:
		}
		h.log.Error("the bus cannot write to its disk: agents keep their records until it can", slog.String("directory", h.cfg.StoreDir))
		if !h.heal() {
			return
		}
		h.log.Info("the bus writes to its disk again")
	}
}

// heal returns true when the streams are open again, false when it was stopped.
func (h *healer) heal() bool {
	tick := time.NewTicker(healEvery)
	defer tick.Stop()
	for {
		select {
		case <-h.quit:
			return false
		case <-tick.C:
		}
		if free, ok := freeBytes(h.cfg.StoreDir); ok && free < healRoom {
			continue
		}
		if err := h.ns.ShutdownJetStream(); err != nil {
			h.log.Warn("close the bus's streams", slog.Any("error", err))
		}
		cfg := h.cfg
		if err := h.ns.EnableJetStream(&cfg); err != nil {
			h.log.Warn("open the bus's streams", slog.Any("error", err))
			continue
		}
		select {
		case <-h.hurt: // said while it was still broken
		default:
		}
		return true
	}
}

func (h *healer) stop() {
	close(h.quit)
	<-h.done
}
