package observer

import (
	"context"
	"errors"

	"github.com/demarc/demarc/internal/service/telemetry"
)

func collectFirewall(ctx context.Context, p *probe) (any, error) {
	_ = ctx
	_ = telemetry.Firewall{}
	return nil, errors.New("todo")
}
