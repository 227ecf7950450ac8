package scheduler

import (
	"crypto/md5"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"linuxha/internal/cluster"
)

// digestChange is what comparing recorded parameters with the configured ones
// showed.
type digestChange uint8

const (
	digestSame    digestChange = iota
	digestUnknown              // nothing recorded
	digestOther                // something changed
	digestRestart              // something changed that requires a restart
)

// operationParams are the parameters that an operation of r on n depends on, as
// far as digests cover them (SEMANTICS 20), by name. The list may be shared: not to be
// changed. own tells whether the operation has parameters of its own.
func (rn *run) operationParams(r *resource, n *node, task string, interval int64) (params []cluster.NVPair, own bool) {
	params = rn.paramsFor(r, n).covered()
	if r.isConnection && r.container != nil && valueOf(params, "addr") == "#uname" {
		if host := rn.hostName(r); host != "" {
			params = withParam(params, "addr", host)
		}
	}
	if op := r.configuredOperation(task, interval, true); op != nil && op.config != nil && len(op.config.Params) > 0 {
		more := map[string]string{}
		rn.attributes(op.config.Params, ruleContext{node: n, resource: r, agent: &r.agent}, more)
		for name, value := range more {
			if !outsideDigests(name) {
				params = withParam(params, name, value)
			}
		}
		own = len(more) > 0
	}
	if interval > 0 {
		params = withParam(params, timeoutParam, strconv.FormatInt(rn.timeout(r, task, interval, n), 10))
	}
	return params, own
}

// timeoutParam is what digests call the timeout of a recurring operation.
const timeoutParam = metaPrefix + "timeout"

const metaPrefix = "CRM_meta_"

// outsideDigests tells of which parameters no digest knows.
func outsideDigests(name string) bool {
	return name == "id" || name == "crm_feature_set" || name == "pcmk_external_ip" || strings.HasPrefix(name, metaPrefix)
}

// valueOf returns the value of a name among parameters, "" if there is none.
func valueOf(params []cluster.NVPair, name string) string {
	if i, found := findParam(params, name); found {
		return params[i].Value
	}
	return ""
}

func findParam(params []cluster.NVPair, name string) (int, bool) {
	return slices.BinarySearchFunc(params, name, func(p cluster.NVPair, name string) int { return strings.Compare(p.Name, name) })
}

// withParam returns a list with a parameter set, and leaves params as they are.
func withParam(params []cluster.NVPair, name, value string) []cluster.NVPair {
	i, found := findParam(params, name)
	rest := params[i:]
	if found {
		rest = rest[1:]
	}
	list := append(make([]cluster.NVPair, 0, len(params)+1), params[:i]...)
	return append(append(list, cluster.NVPair{Name: name, Value: value}), rest...)
}

// hostName is the name of the node that r's container is on or goes to.
func (rn *run) hostName(r *resource) string {
	if n := r.container.assigned; n != nil {
		return n.name
	}
	if n := r.container.current(); n != nil {
		return n.name
	}
	return ""
}

// digest is the MD5 of parameters, by name, in the text form that Pacemaker defines.
// Only the names in only count, unless that is nil.
func digest(params []cluster.NVPair, only []string) string {
	text := append(make([]byte, 0, 1024), " <parameters"...)
	for i := range params {
		p := &params[i]
		if only != nil && !hasName(only, p.Name) {
			continue
		}
		text = append(append(append(text, ' '), p.Name...), `="`...)
		text = append(append(text, xmlEscape.Replace(p.Value)...), '"')
	}
	sum := md5.Sum(append(text, "/>\n"...))
	return hex.EncodeToString(sum[:])
}

var xmlEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "\n", "&#10;", "\t", "&#9;", "\r", "&#13;")

func hasName(list []string, name string) bool {
	for _, each := range list {
		if each == name {
			return true
		}
	}
	return false
}

// compareDigests tells whether the parameters recorded with an entry in r's
// history on a node are still the configured ones. Which of them require a restart,
// and whether any do, the entry of the operation says that is looked at first. If all
// that is not secret is the same, nothing changed, whatever the other digests say.
func (rn *run) compareDigests(r *resource, h *nodeHistory, e *cluster.HistoryEntry) digestChange {
	params, own := rn.operationParams(r, h.node, e.Operation, e.IntervalMS)
	change := changeOf(params, own, e, h.firstCompared(e))
	if change != digestSame && e.SecureDigest != "" && sameButSecret(r, params, e) {
		return digestSame
	}
	return change
}

// changedSince tells whether parameters are known to have changed since a failure,
// secret ones included: a new password may be what it takes.
func (rn *run) changedSince(r *resource, h *nodeHistory, failure *cluster.HistoryEntry) bool {
	params, own := rn.operationParams(r, h.node, failure.Operation, failure.IntervalMS)
	change := changeOf(params, own, failure, h.firstCompared(failure))
	return change == digestOther || change == digestRestart
}

// changeOf is compareDigests for parameters that are no secrets.
func changeOf(params []cluster.NVPair, own bool, e, first *cluster.HistoryEntry) digestChange {
	if first.RestartDigest != "" && e.RestartDigest != "" {
		var names []string // all, if there is no list
		if first.ForceRestart != "" {
			names = append([]string{}, strings.Fields(first.ForceRestart)...)
		}
		if digest(params, names) != e.RestartDigest {
			return digestRestart
		}
	}
	if e.OpDigest == "" {
		return digestUnknown
	}
	if digest(params, nil) == e.OpDigest {
		return digestSame
	}
	if own && e.IntervalMS == 0 {
		return digestRestart
	}
	return digestOther
}

// firstCompared is the first entry of e's operation that is compared, e itself if
// none was.
func (h *nodeHistory) firstCompared(e *cluster.HistoryEntry) *cluster.HistoryEntry {
	alike := 0
	for _, other := range h.entries {
		if other.Operation == e.Operation && other.IntervalMS == e.IntervalMS {
			alike++
		}
	}
	if alike < 2 {
		return e
	}
	for _, other := range h.compared {
		if other.Operation == e.Operation && other.IntervalMS == e.IntervalMS {
			return other
		}
	}
	h.compared = append(h.compared, e)
	return e
}

// sameButSecret tells whether all parameters but the secret ones are as recorded:
// in sanitised input, secrets never are.
func sameButSecret(r *resource, params []cluster.NVPair, e *cluster.HistoryEntry) bool {
	return digest(openParams(r, params, strings.Fields(e.SecureParams)), nil) == e.SecureDigest
}

// openParams leaves out the secret ones, and those that tell the fencer about a
// device.
func openParams(r *resource, params []cluster.NVPair, secret []string) []cluster.NVPair {
	var open []cluster.NVPair
	for _, p := range params {
		if hasName(secret, p.Name) || strings.HasPrefix(p.Name, metaPrefix) || r.isFence && strings.HasPrefix(p.Name, "pcmk_") {
			continue
		}
		open = append(open, p)
	}
	return open
}
