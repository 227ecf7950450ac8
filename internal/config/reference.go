package config

import (
	"fmt"
	"sort"
	"strings"
)

// Reference is the page about the language's names and values, made from the
// tables that the reader uses.
func Reference() string {
	var b strings.Builder
	b.WriteString(`# The configuration language

Made from the reader's own tables by ` + "`go test ./internal/cli -run Reference -update`" + `; the HOWTO has examples.

A configuration is one file or a directory of ` + "`*.hcl`" + ` (or ` + "`*.hcl.json`" + `) files. Options have Pacemaker's names with ` + "`_`" + ` for
` + "`-`" + `, its meanings and its defaults, but for ` + "`resource_stickiness`" + `, which is 1 where nothing else is said.
Durations are written "150ms", "5s", "1h30m" or as ISO 8601; scores are whole numbers, infinity or -infinity.
file("PATH") as an agent's parameter stays a reference: the file is read on the node that runs the agent, when it runs.

## Blocks

`)
	for _, t := range topLevel {
		label := ""
		if len(t.labels) > 0 {
			label = fmt.Sprintf(" \"%s\"", t.labels[0])
		}
		fmt.Fprintf(&b, "- `%s%s { ... }`\n", t.name, label)
	}
	b.WriteString(`
Every map of values (` + "`params`, `meta`, `attributes`, `utilization`, options, defaults" + `) has a block form with a condition:

` + "```hcl" + `
meta_set "at-night" {
  score  = 10
  rule   = "date spec hours=22-23"
  values = { resource_stickiness = 0 }
}
` + "```" + `

Among the blocks of one parent the one with the highest score wins, name by name; of equal ones the later.

`)
	names(&b, "Cluster options (block `cluster`)", options)
	fmt.Fprintf(&b, "Also read: ")
	var aliases []string
	for a, name := range optionAliases {
		aliases = append(aliases, fmt.Sprintf("`%s` for `%s`", scored(a), scored(name)))
	}
	sort.Strings(aliases)
	b.WriteString(strings.Join(aliases, ", ") + ". `detection` is extreme, fast, normal, patient or\n`{ interval = \"100ms\", dead_time = \"1s\" }`; `watchdog` is `{ device = \"/dev/watchdog\", timeout = \"5s\" }`.\n\n")
	names(&b, "Resource meta-attributes (`meta`)", meta)
	names(&b, "Operations (block `op \"NAME\"`)", operationAttrs)
	b.WriteString("Operations are " + strings.Join(operationNames, ", ") + ".\n\n## Rules\n\n```\n" + ruleGrammar + "```\n")
	return b.String()
}

func names(b *strings.Builder, title string, table map[string]spec) {
	fmt.Fprintf(b, "## %s\n\n| name | value |\n|---|---|\n", title)
	var sorted []string
	for name := range table {
		sorted = append(sorted, name)
	}
	sort.Strings(sorted)
	for _, name := range sorted {
		shown := scored(name)
		if s, ok := optionSpelling[name]; ok && strings.HasPrefix(title, "Cluster") {
			shown = s
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", shown, table[name].describe())
	}
	b.WriteString("\n")
}

func (s spec) describe() string {
	if s.values != nil {
		return strings.ToLower(strings.Join(s.values, ", "))
	}
	return map[valueKind]string{text: "text", boolean: "true or false", integer: "whole number", score: "score", duration: "duration", percent: "percentage"}[s.kind]
}
