package api

import (
	"encoding/json"
	"errors"
	"net"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

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

// A daemon that is frozen accepts connections, and never answers.
func TestADaemonThatDoesNotAnswer(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	defer func(d time.Duration) { answerTime = d }(answerTime)
	answerTime = 50 * time.Millisecond
	if _, err := NewClient(socket).Status(t.Context()); !errors.Is(err, errSilent) {
		t.Errorf("%v, want %v", err, errSilent)
	}
}
