package config

import (
	"fmt"
	"sort"
	"strings"

	"linuxha/internal/cluster"
)

// valueKind is what a named value must look like.
type valueKind int

const (
	text valueKind = iota
	boolean
	integer
	score    // integer or ±INFINITY
	duration // Go or Pacemaker form; kept as text that Pacemaker reads
	percent
)

// spec describes one known name.
type spec struct {
	kind   valueKind
	values []string // if not nil: the only ones allowed
}

// options are the cluster options, by Pacemaker's modern name.
var options = map[string]spec{
	"no-quorum-policy":            {values: []string{"stop", "freeze", "ignore", "demote", "fence", "suicide"}},
	"symmetric-cluster":           {kind: boolean},
	"fencing-enabled":             {kind: boolean},
	"fencing-action":              {values: []string{"reboot", "off", "poweroff"}},
	"fencing-timeout":             {kind: duration},
	"fencing-max-attempts":        {kind: integer},
	"fencing-reaction":            {values: []string{"stop", "panic"}},
	"fencing-watchdog-timeout":    {kind: duration},
	"fencing-max-nodes":           {kind: integer},
	"startup-fencing":             {kind: boolean},
	"concurrent-fencing":          {kind: boolean},
	"fence-remote-without-quorum": {kind: boolean},
	"priority-fencing-delay":      {kind: duration},
	"node-pending-timeout":        {kind: duration},
	"stop-all-resources":          {kind: boolean},
	"stop-removed-resources":      {kind: boolean},
	"cancel-removed-actions":      {kind: boolean},
	"maintenance-mode":            {kind: boolean},
	"start-failure-is-fatal":      {kind: boolean},
	"enable-startup-probes":       {kind: boolean},
	"placement-strategy":          {values: []string{"default", "utilization", "minimal", "balanced"}},
	"node-health-strategy":        {values: []string{"none", "migrate-on-red", "only-green", "progressive", "custom"}},
	"node-health-base":            {kind: score},
	"node-health-green":           {kind: score},
	"node-health-yellow":          {kind: score},
	"node-health-red":             {kind: score},
	"shutdown-lock":               {kind: boolean},
	"shutdown-lock-limit":         {kind: duration},
	"cluster-delay":               {kind: duration},
	"batch-limit":                 {kind: integer},
	"migration-limit":             {kind: integer},
	"node-action-limit":           {kind: integer},
	"load-threshold":              {kind: percent},
	"cluster-recheck-interval":    {kind: duration},
	"dc-deadtime":                 {kind: duration},
	"election-timeout":            {kind: duration},
	"join-integration-timeout":    {kind: duration},
	"join-finalization-timeout":   {kind: duration},
	"shutdown-escalation":         {kind: duration},
	"transition-delay":            {kind: duration},
	"pe-error-series-max":         {kind: integer},
	"pe-warn-series-max":          {kind: integer},
	"pe-input-series-max":         {kind: integer},
	"enable-acl":                  {kind: boolean},
	"have-watchdog":               {kind: boolean},
	"cluster-name":                {},
	"cluster-infrastructure":      {},
	"dc-version":                  {},
	"last-lrm-refresh":            {},
	"site-name":                   {},
}

// optionAliases are other spellings of cluster options that are read.
var optionAliases = map[string]string{
	"no-quorum": "no-quorum-policy", "fencing": "fencing-enabled",
	"stonith-enabled": "fencing-enabled", "stonith-action": "fencing-action", "stonith-timeout": "fencing-timeout",
	"stonith-max-attempts": "fencing-max-attempts", "stonith-watchdog-timeout": "fencing-watchdog-timeout",
	"stop-orphan-resources": "stop-removed-resources", "stop-orphan-actions": "cancel-removed-actions",
}

// optionSpelling is how an option is printed where that differs from its name.
var optionSpelling = map[string]string{"no-quorum-policy": "no_quorum", "fencing-enabled": "fencing"}

// roles as the language spells them; stored with a capital.
var roles = []string{"Stopped", "Started", "Unpromoted", "Promoted"}

// meta are the resource meta-attributes.
var meta = map[string]spec{
	"priority":                   {kind: score},
	"critical":                   {kind: boolean},
	"target-role":                {values: roles},
	"is-managed":                 {kind: boolean},
	"maintenance":                {kind: boolean},
	"resource-stickiness":        {kind: score},
	"requires":                   {values: []string{"nothing", "quorum", "fencing", "unfencing"}},
	"migration-threshold":        {kind: score},
	"failure-timeout":            {kind: duration},
	"multiple-active":            {values: []string{"block", "stop_only", "stop_start", "stop_unexpected"}},
	"allow-migrate":              {kind: boolean},
	"allow-unhealthy-nodes":      {kind: boolean},
	"container-attribute-target": {values: []string{"host"}},
	"remote-node":                {},
	"remote-addr":                {},
	"remote-port":                {kind: integer},
	"remote-connect-timeout":     {kind: duration},
	"remote-allow-migrate":       {kind: boolean},
	"container":                  {},
	"provides":                   {},
	"notify":                     {kind: boolean},
	"clone-max":                  {kind: integer},
	"clone-node-max":             {kind: integer},
	"clone-min":                  {kind: integer},
	"globally-unique":            {kind: boolean},
	"interleave":                 {kind: boolean},
	"ordered":                    {kind: boolean},
	"collocated":                 {kind: boolean},
	"promotable":                 {kind: boolean},
	"promoted-max":               {kind: integer},
	"promoted-node-max":          {kind: integer},
}

// metaAliases are old spellings of meta-attributes.
var metaAliases = map[string]string{"master-max": "promoted-max", "master-node-max": "promoted-node-max"}

// onFail are the answers to a failed operation.
var onFail = []string{"ignore", "restart", "stop", "block", "fence", "standby", "demote", "restart-container"}

// operationAttrs are what an op block can say besides interval.
var operationAttrs = map[string]spec{
	"timeout":         {kind: duration},
	"role":            {values: roles},
	"on-fail":         {values: onFail},
	"enabled":         {kind: boolean},
	"start-delay":     {kind: duration},
	"interval-origin": {},
	"record-pending":  {kind: boolean},
	"description":     {},
}

// operationNames are the operations that an agent can be asked for.
var operationNames = []string{"monitor", "start", "stop", "promote", "demote", "migrate_to", "migrate_from", "migrate", "notify", "reload", "reload-agent", "validate-all", "meta-data", "status", "on", "off", "reboot", "list"}

// verbs are words of the command line: node and resource names must differ.
var verbs = map[string]bool{
	"confirm": true, "history": true, "standby": true, "online": true, "move": true, "restart": true,
	"cleanup": true, "list": true, "show": true, "add": true, "remove": true, "set": true, "force": true, "all": true,
}

// dashed turns the language's spelling into Pacemaker's.
func dashed(name string) string { return strings.ReplaceAll(name, "_", "-") }

// scored turns Pacemaker's spelling into the language's.
func scored(name string) string { return strings.ReplaceAll(name, "-", "_") }

// nearest returns a hint that names the known name closest to name, or "".
func nearest(name string, known []string) string {
	sort.Strings(known)
	if best := cluster.Nearest(name, known); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return ""
}

// keys are the names of a table as the language spells them, sorted.
func keys(m map[string]spec) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, scored(k))
	}
	sort.Strings(out)
	return out
}
