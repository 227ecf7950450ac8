package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/config"
	"linuxha/internal/core/event"
)

// MaxBody bounds what a client may send, in bytes.
const MaxBody = 16 << 20

// watchPause is the shortest time between two lines of a followed answer.
const watchPause = 50 * time.Millisecond

// Daemon is what the server needs of the daemon.
type Daemon interface {
	// State returns the applied state and this node's own view; read-only.
	State() (*cluster.State, *event.Local)
	// Changed is closed when State next changes.
	Changed() <-chan struct{}
	// Request hands a request to the core and waits for its answer.
	Request(ctx context.Context, r event.Request) event.Reply
	// Plan schedules the state as if cfg were its configuration.
	Plan(ctx context.Context, cfg *cluster.Config) (*cluster.Plan, error)
	// Warnings are the troubles that only the daemon can see.
	Warnings() []Warning
}

type server struct{ Daemon }

// NewHandler serves the API of d.
func NewHandler(d Daemon) http.Handler {
	s := &server{d}
	mux := http.NewServeMux()
	handle := func(pattern string, h http.HandlerFunc) { mux.HandleFunc(pattern, s.settled(h)) }
	mux.HandleFunc("GET /v1/status", s.status) // it tells of a daemon without a state, too
	handle("GET /v1/events", s.events)
	handle("GET /v1/state", s.state)
	handle("GET /v1/config", s.config)
	handle("POST /v1/plan", s.plan)
	handle("POST /v1/request", s.request)
	return mux
}

// stateTime is how long a client of a daemon that has just started waits for the
// first state.
const stateTime = 10 * time.Second

// settled lets a request wait until there is a state to answer from.
func (s *server) settled(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), stateTime)
		defer cancel()
		switch {
		case Await(ctx, s, func(state *cluster.State, _ *event.Local) bool { return state != nil && state.Lineage.ID != "" }):
			h(w, r)
		case r.Context().Err() == nil:
			refuse(w, &event.Refusal{Kind: "no-leader", Text: "this daemon has no state yet: no member that has one is reached; look at its log, or try again"})
		}
	}
}

// Await waits until ok holds of what d sees, at most until ctx ends.
func Await(ctx context.Context, d Daemon, ok func(*cluster.State, *event.Local) bool) bool {
	for {
		changed := d.Changed()
		if ok(d.State()) {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// httpStatus gives each kind of refusal its HTTP status.
var httpStatus = map[string]int{
	"invalid": http.StatusBadRequest, "not-found": http.StatusNotFound, "conflict": http.StatusConflict, "unsafe": http.StatusConflict,
	"no-leader": http.StatusServiceUnavailable, "no-quorum": http.StatusServiceUnavailable, "timeout": http.StatusGatewayTimeout,
}

func refuse(w http.ResponseWriter, r *event.Refusal) {
	code, ok := httpStatus[r.Kind]
	if !ok {
		code = http.StatusInternalServerError
	}
	answer(w, code, Answer{Error: r})
}

func answer(w http.ResponseWriter, code int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	w.Write(append(data, '\n'))
}

func (s *server) view() *Status {
	state, local := s.State()
	if local == nil {
		local = &event.Local{} // the daemon has just started, and knows nothing yet
	}
	return Derive(state, local, s.Warnings(), time.Now().UTC())
}

// status answers once, or with ?watch=1 a line whenever something changed.
func (s *server) status(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("watch") == "" {
		answer(w, http.StatusOK, s.view())
		return
	}
	s.follow(w, r, func(out *json.Encoder) error { return out.Encode(s.view()) })
}

// follow calls write now and after each change, until the client goes.
func (s *server) follow(w http.ResponseWriter, r *http.Request, write func(*json.Encoder) error) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	flush := http.NewResponseController(w)
	out := json.NewEncoder(w)
	for {
		changed := s.Changed()
		if write(out) != nil || flush.Flush() != nil {
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
		select {
		case <-time.After(watchPause):
		case <-r.Context().Done():
			return
		}
	}
}

// events answers with the events numbered from ?from= on, one a line; with
// ?follow=1 it goes on.
func (s *server) events(w http.ResponseWriter, r *http.Request) {
	next, err := strconv.ParseUint(orZero(r.FormValue("from")), 10, 64)
	if err != nil {
		refuse(w, &event.Refusal{Kind: "invalid", Text: fmt.Sprintf("from: %q is not a number", r.FormValue("from"))})
		return
	}
	write := func(out *json.Encoder) error {
		state, _ := s.State()
		for _, e := range state.Events {
			if e.Number < next {
				continue
			}
			if err := out.Encode(e); err != nil {
				return err
			}
			next = e.Number + 1
		}
		return nil
	}
	if r.FormValue("follow") != "" {
		s.follow(w, r, write)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	_ = write(json.NewEncoder(w)) // the client has gone: nobody to tell
}

func orZero(s string) string {
	if s == "" {
		return "0"
	}
	return s
}

func (s *server) state(w http.ResponseWriter, _ *http.Request) {
	state, _ := s.State()
	answer(w, http.StatusOK, state)
}

func (s *server) config(w http.ResponseWriter, _ *http.Request) {
	state, _ := s.State()
	answer(w, http.StatusOK, ConfigView{Revision: state.Revision, Config: state.Config})
}

// decode reads a bounded JSON body; it answers and returns false if that fails.
func decode(w http.ResponseWriter, r *http.Request, v any) bool {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			err = fmt.Errorf("the request has more than %d bytes", MaxBody)
		}
		refuse(w, &event.Refusal{Kind: "invalid", Text: err.Error()})
		return false
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		refuse(w, &event.Refusal{Kind: "invalid", Text: "the request cannot be read: " + err.Error()})
		return false
	}
	return true
}

// plan tells what a configuration would change. Nothing is changed.
func (s *server) plan(w http.ResponseWriter, r *http.Request) {
	var cfg cluster.Config
	if !decode(w, r, &cfg) {
		return
	}
	state, _ := s.State()
	if bad := check(&cfg); bad != nil {
		refuse(w, bad)
		return
	}
	p, err := s.Plan(r.Context(), &cfg)
	if err != nil {
		refuse(w, &event.Refusal{Kind: "invalid", Text: err.Error()})
		return
	}
	answer(w, http.StatusOK, NewPlan(state, &cfg, p))
}

// check refuses a configuration that cannot be meant.
func check(cfg *cluster.Config) *event.Refusal {
	problems := append(config.Validate(cfg), config.CheckAgents(cfg)...)
	if len(problems) == 0 {
		return nil
	}
	text := problems[0].String()
	for _, p := range problems[1:] {
		text += "\n" + p.String()
	}
	return &event.Refusal{Kind: "invalid", Text: text}
}

func (s *server) request(w http.ResponseWriter, r *http.Request) {
	var req event.Request
	if !decode(w, r, &req) {
		return
	}
	for _, c := range req.Commands {
		if c.Config == nil {
			continue
		}
		if bad := check(&c.Config.Config); bad != nil {
			refuse(w, bad)
			return
		}
	}
	reply := s.Request(r.Context(), req)
	if reply.Err != nil {
		refuse(w, reply.Err)
		return
	}
	answer(w, http.StatusOK, Answer{Index: reply.Index})
}
