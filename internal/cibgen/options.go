package cibgen

func (g *generator) options() {
	var v [][2]string
	set := func(percent int, name string, values ...string) string {
		if !g.chance(percent) {
			return ""
		}
		value := pick(g, values)
		v = append(v, [2]string{name, value})
		g.feature(name + "=" + value)
		return value
	}
	g.fencing = set(45, "stonith-enabled", "false") == ""
	g.device = !g.fencing || g.chance(92)
	set(35, "no-quorum-policy", "stop", "freeze", "ignore", "demote", "suicide")
	g.symmetric = set(8, "symmetric-cluster", "false") == ""
	set(10, "startup-fencing", "false")
	set(10, "concurrent-fencing", "false")
	set(2, "stop-all-resources", "true")
	set(12, "stop-orphan-resources", "false")
	set(8, "stop-orphan-actions", "false")
	set(3, "maintenance-mode", "true")
	set(8, "enable-startup-probes", "false")
	set(20, "placement-strategy", "utilization", "minimal", "balanced", "default")
	set(12, "node-health-strategy", "migrate-on-red", "only-green", "progressive", "custom")
	set(5, "node-health-base", "10")
	set(5, "node-health-yellow", "-20", "-5")
	set(5, "node-health-green", "5")
	set(5, "node-health-red", "-30", "-INFINITY")
	g.locks = set(6, "shutdown-lock", "true") != ""
	set(6, "priority-fencing-delay", "15s")
	set(10, "stonith-action", "off", "reboot", "poweroff")
	set(5, "shutdown-lock-limit", "5min", "30000h")
	set(3, "have-watchdog", "true")
	set(3, "stonith-timeout", "90s")
	set(3, "start-failure-is-fatal", "false")
	set(5, "cluster-name", "c1", "c2")
	g.crmConfig = el("crm_config")
	g.crmConfig.addBlock(g.pairs("cluster_property_set", v))
	if g.maybe(3, "options-with-rule") {
		g.crmConfig.add(g.conditional(g.pairs("cluster_property_set", [][2]string{pick(g, [][2]string{
			{"maintenance-mode", "true"}, {"stop-all-resources", "true"}, {"enable-startup-probes", "false"}, {"no-quorum-policy", "ignore"}})}), g.dateCondition()))
	}
	if g.maybe(15, "resource-defaults") {
		g.rscDefaults = el("rsc_defaults")
		g.rscDefaults.addBlock(g.pairs("meta_attributes", [][2]string{pick(g, [][2]string{
			{"resource-stickiness", "100"}, {"resource-stickiness", "1"}, {"migration-threshold", "3"},
			{"failure-timeout", "600s"}, {"priority", "1"}})}))
	}
	if g.maybe(5, "resource-defaults-with-rule") {
		if g.rscDefaults == nil {
			g.rscDefaults = el("rsc_defaults")
		}
		g.rscDefaults.add(g.conditional(g.pairs("meta_attributes", [][2]string{pick(g, [][2]string{
			{"resource-stickiness", "30"}, {"migration-threshold", "2"}, {"is-managed", "false"}, {"priority", "3"}})}), g.resourceCondition()))
	}
	if g.maybe(8, "operation-defaults") {
		g.opDefaults = el("op_defaults")
		g.opDefaults.addBlock(g.pairs("meta_attributes", [][2]string{pick(g, [][2]string{
			{"timeout", "50s"}, {"on-fail", "ignore"}, {"on-fail", "block"}})}))
	}
	if g.maybe(5, "operation-defaults-with-rule") {
		if g.opDefaults == nil {
			g.opDefaults = el("op_defaults")
		}
		g.opDefaults.add(g.conditional(g.pairs("meta_attributes", [][2]string{pick(g, [][2]string{
			{"on-fail", "restart"}, {"on-fail", "block"}, {"on-fail", "fence"}})}), g.operationCondition()))
	}
}

// resourceCondition makes a condition on the agent of a resource, or on the time.
// (crm_simulate 2.1.5 takes no provider for one that must not be there.)
func (g *generator) resourceCondition() *Element {
	id := g.id("expr")
	switch g.IntN(4) {
	case 0:
		return g.dateCondition()
	case 1:
		return el("rsc_expression", "id", id, "class", "ocf", "provider", "pacemaker", "type", pick(g, []string{"Dummy", "Stateful"}))
	case 2:
		return el("rsc_expression", "id", id, "class", pick(g, []string{"stonith", "systemd"}))
	}
	return el("rsc_expression", "id", id, "class", "ocf", "provider", pick(g, []string{"pacemaker", "heartbeat"}))
}

// operationCondition makes a condition on an operation.
func (g *generator) operationCondition() *Element {
	if g.chance(30) {
		return g.resourceCondition()
	}
	e := el("op_expression", "id", g.id("expr"), "name", pick(g, []string{"monitor", "start", "stop", "promote"}))
	if e.Attr("name") == "monitor" && g.chance(60) {
		e.Attrs = append(e.Attrs, Attr{"interval", pick(g, []string{"10s", "11", "0s"})})
	}
	return e
}
