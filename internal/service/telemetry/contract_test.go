package telemetry_test

import (
	"testing"
	"time"

	"github.com/demarc/demarc/internal/service/servicetest"
	"github.com/demarc/demarc/internal/service/telemetry"
	"github.com/demarc/demarc/internal/service/telemetry/observer"
)

func TestContract(t *testing.T) {
	servicetest.Service(t, telemetry.New())
}

func TestObserverContract(t *testing.T) {
	facts := servicetest.Observer(t, observer.New(), telemetry.New().Manifest(), "/", time.Minute)
	if len(facts) < 20 {
		t.Errorf("this machine gives only %d facts", len(facts))
	}
}
