package config

import (
	"slices"
	"sort"
	"strings"

	"linuxha/internal/cluster"
)

// FormatRule prints a rule as text that ParseRule reads back.
func FormatRule(r *cluster.Rule) string {
	join := " and "
	if r.Or {
		join = " or "
	}
	var parts []string
	for i := range r.Conditions {
		parts = append(parts, formatCondition(&r.Conditions[i], r.Or))
	}
	return strings.Join(parts, join)
}

func formatCondition(c *cluster.Condition, or bool) string {
	switch {
	case c.Rule != nil:
		text := FormatRule(c.Rule)
		if or && !c.Rule.Or && len(c.Rule.Conditions) > 1 {
			return text // "and" binds closer: no brackets needed
		}
		return "(" + text + ")"
	case c.Attribute != nil:
		return formatAttribute(c.Attribute)
	case c.Date != nil:
		return formatDate(c.Date)
	case c.Resource != nil:
		return "resource " + ruleWord(c.Resource.Class+":"+c.Resource.Provider+":"+c.Resource.Type)
	case c.Operation != nil:
		s := "op " + ruleWord(c.Operation.Name)
		if c.Operation.Interval != "" {
			s += " interval=" + c.Operation.Interval
		}
		return s
	}
	return ""
}

func formatAttribute(e *cluster.AttrExpr) string {
	name := ruleWord("attr." + e.Attribute)
	for spelling, special := range operands {
		if special == e.Attribute {
			name = spelling
		}
	}
	if e.Operation == "defined" || e.Operation == "not_defined" {
		return e.Operation + " " + name
	}
	s := name + " " + e.Operation + " "
	if e.Type != "" {
		s += e.Type + " "
	}
	switch e.ValueSource {
	case "param", "meta":
		return s + e.ValueSource + "." + e.Value // never quoted: that would make it a literal
	}
	if strings.HasPrefix(e.Value, "param.") || strings.HasPrefix(e.Value, "meta.") {
		return s + quoteWord(e.Value)
	}
	return s + ruleWord(e.Value)
}

func formatDate(d *cluster.DateExpr) string {
	switch d.Operation {
	case "gt":
		return "date gt " + quoteWord(d.Start)
	case "lt":
		return "date lt " + quoteWord(d.End)
	case "date_spec":
		return "date spec " + formatFields(d.Spec)
	}
	s := "date in"
	if d.Start != "" {
		s += " " + quoteWord(d.Start)
	}
	if len(d.Duration) > 0 {
		return s + " for " + formatFields(d.Duration)
	}
	if d.End != "" {
		s += " to " + quoteWord(d.End)
	}
	return s
}

func formatFields(f map[string]string) string {
	var parts []string
	for name, value := range f {
		parts = append(parts, name+"="+value)
	}
	sort.Strings(parts)
	return strings.Join(parts, " ")
}

// ruleWord quotes a word that would not be read as one, or as a keyword.
func ruleWord(s string) string {
	if s == "" || strings.ContainsAny(s, " \t\n\r()\"") ||
		slices.Contains([]string{"and", "or", "string", "integer", "number", "version"}, s) {
		return quoteWord(s)
	}
	return s
}

func quoteWord(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
