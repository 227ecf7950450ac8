package daemon

import (
	"linuxha/internal/core/event"
)

// agents answers for operations until agents are part of the binary: nothing is
// installed.
type agents struct{ post func(event.Event) }

func (a *agents) Run(op event.Operation) {
	a.post(event.OperationDone{Result: event.Result{ID: op.ID, Code: 5, Status: 4, Reason: "this binary has no agents"}})
}
func (a *agents) Cancel(string) {}
func (a *agents) Fence(call event.FenceCall) {
	a.post(event.FenceCalled{Call: call, Error: "this binary has no fence agents"})
}
func (a *agents) Recorded() event.Recorded { return event.Recorded{} }
func (a *agents) Close()                   {}
