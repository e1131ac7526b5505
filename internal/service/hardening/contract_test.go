package hardening_test

import (
	"testing"

	"github.com/demarc/demarc/internal/service/hardening"
	"github.com/demarc/demarc/internal/service/servicetest"
	"github.com/demarc/demarc/internal/service/telemetry"
)

func TestContract(t *testing.T) {
	servicetest.Service(t, hardening.New(), telemetry.Kinds...)
}
