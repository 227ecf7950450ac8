package config

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
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
	b.WriteString("| block | what it says |\n|---|---|\n")
	for _, t := range topLevel {
		blockReference(&b, t.name, t.labels, t.read)
	}
	b.WriteString(`
A ` + "`colocation`, an `order` and a `ticket`" + ` hold ` + "`set`" + ` blocks as a location does, in place of single resources. What is accepted and not acted on is
[at the end](#accepted-and-not-acted-on).

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
	unactedReference(&b)
	return b.String()
}

// unactedReference lists what is accepted and does not do here what it says.
func unactedReference(b *strings.Builder) {
	b.WriteString(`
## Accepted, and not acted on

So that a configuration of Pacemaker's can be taken over as it is, some of what it may say is kept, though this cluster does not act on it. ` +
		"`ha config check`,\n`ha plan`, `ha apply` and `ha simulate`" + ` warn of it, with the place; of the first table ` + "`ha status`" + ` does so, too.

| what | what to know |
|---|---|
`)
	for _, u := range allUnacted {
		fmt.Fprintf(b, "| %s | %s; %s |\n", u.what, u.text, u.hint)
	}
	for _, table := range []struct {
		title string
		names map[string]string
	}{{"cluster option without effect", withoutEffect}, {"operation's option without effect", operationsWithoutEffect}} {
		fmt.Fprintf(b, "\n| %s | what happens instead |\n|---|---|\n", table.title)
		for _, name := range slices.Sorted(maps.Keys(table.names)) {
			fmt.Fprintf(b, "| `%s` | %s |\n", scored(name), table.names[name])
		}
	}
}

// inner are the blocks within blocks, in the order in which they are read; blocks
// of values are described by themselves.
var inner = map[string][]string{
	"resource": {`op "monitor"`}, "location": {"set", `rule "name"`}, "bundle": {`port "name"`, `storage "name"`},
	"alert": {`recipient "name"`}, "role": {`allow "read"`},
}

// blockReference writes a row for a block, and one for each that it holds, by
// reading an empty one.
func blockReference(b *strings.Builder, name string, labels []string, read func(*reader, *hcl.Block)) {
	header := name
	for _, l := range labels {
		header += " \"" + l + "\""
	}
	headers := []string{header}
	text := header + " {\n"
	for _, i := range inner[name] {
		headers = append(headers, header+" { "+i+" }")
		text += i + " {}\n"
	}
	file, diags := hclparse.NewParser().ParseHCL([]byte(text+"}"), name)
	if diags.HasErrors() {
		panic(diags) // the tables above are wrong
	}
	schema := hcl.BlockHeaderSchema{Type: name, LabelNames: labels}
	content, _ := file.Body.Content(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{schema}})
	r := newReader()
	row := 0
	r.opened = func(attrs []string) {
		if row == len(headers) {
			panic("the reference does not know a block in " + header)
		}
		says := ""
		if len(attrs) > 0 {
			says = "`" + strings.Join(attrs, "`, `") + "`"
		}
		if name == "cluster" {
			says = "`detection`, `watchdog`, and the options below"
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", headers[row], says)
		row++
	}
	read(r, content.Blocks[0])
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
