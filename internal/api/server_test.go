package api

import (
	"encoding/json"
	"net/http/httptest"
	"testing"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// starting is a daemon that knows nothing yet; only what a status needs is there.
type starting struct{ Daemon }

func (starting) State() (*cluster.State, *event.Local) { return &cluster.State{}, nil }
func (starting) Warnings() []Warning                   { return nil }

func TestStatusOfADaemonThatHasJustStarted(t *testing.T) {
	answer := httptest.NewRecorder()
	NewHandler(starting{}).ServeHTTP(answer, httptest.NewRequest("GET", "/v1/status", nil))
	var status Status
	if err := json.Unmarshal(answer.Body.Bytes(), &status); answer.Code != 200 || err != nil || status.Quorate {
		t.Errorf("%d %s (%v)", answer.Code, answer.Body, err)
	}
}
