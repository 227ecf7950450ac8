package scheduler

import (
	"crypto/md5"
	"encoding/hex"
	"sort"
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
// far as digests cover them (SEMANTICS 20). own tells whether the operation has
// parameters of its own.
func (rn *run) operationParams(r *resource, n *node, task string, interval int64) (params map[string]string, own bool) {
	shared := rn.params(r, n)
	params = make(map[string]string, len(shared)+1)
	for name, value := range shared {
		params[name] = value
	}
	if r.isConnection && params["addr"] == "#uname" && r.container != nil {
		if host := rn.hostName(r); host != "" {
			params["addr"] = host
		}
	}
	if op := r.configuredOperation(task, interval, true); op != nil && op.config != nil && len(op.config.Params) > 0 {
		more := map[string]string{}
		rn.attributes(op.config.Params, ruleContext{node: n, resource: r, agent: &r.agent}, more)
		for name, value := range more {
			params[name] = value
		}
		own = len(more) > 0
	}
	for name := range params {
		if name == "id" || name == "crm_feature_set" || name == "pcmk_external_ip" || strings.HasPrefix(name, "CRM_meta_") {
			delete(params, name)
		}
	}
	if interval > 0 {
		params["CRM_meta_timeout"] = strconv.FormatInt(rn.timeout(r, task, interval, n), 10)
	}
	return params, own
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

// digest is the MD5 of parameters in the text form that Pacemaker defines. Only
// the names in only count, unless that is nil.
func digest(params map[string]string, only []string) string {
	names := make([]string, 0, len(params))
	for name := range params {
		if only == nil || hasName(only, name) {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	text := append(make([]byte, 0, 1024), " <parameters"...)
	for _, name := range names {
		text = append(append(append(text, ' '), name...), `="`...)
		text = append(append(text, xmlEscape.Replace(params[name])...), '"')
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
// and whether any do, the entry of the operation says that is looked at first.
func (rn *run) compareDigests(r *resource, h *nodeHistory, e *cluster.HistoryEntry) digestChange {
	params, own := rn.operationParams(r, h.node, e.Operation, e.IntervalMS)
	if first := h.firstCompared(e); first.RestartDigest != "" && e.RestartDigest != "" {
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
	if e.SecureDigest != "" && sameButSecret(r, params, e) {
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
func sameButSecret(r *resource, params map[string]string, e *cluster.HistoryEntry) bool {
	return digest(openParams(r, params, strings.Fields(e.SecureParams)), nil) == e.SecureDigest
}

// openParams leaves out the secret ones, and those that tell the fencer about a
// device.
func openParams(r *resource, params map[string]string, secret []string) map[string]string {
	open := map[string]string{}
	for name, value := range params {
		if hasName(secret, name) || strings.HasPrefix(name, "CRM_meta_") || r.isFence && strings.HasPrefix(name, "pcmk_") {
			continue
		}
		open[name] = value
	}
	return open
}
