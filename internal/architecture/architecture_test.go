// Package architecture holds no code, only the test of the rules that every
// other package keeps: who may import whom, what a deterministic package may
// use, and how long a file may be.
package architecture

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// maxLines is the longest that a Go file may be.
const maxLines = 800

// mayImport says, for each top-level package under internal, which of ours it
// may import beside its own sub-packages. A package that is not listed fails the
// test: whoever adds one decides here where it stands.
var mayImport = map[string][]string{
	"architecture": {},
	"cluster":      {},
	"config":       {"cluster"},
	"scheduler":    {"cluster"},
	"pacemaker":    {"cluster"},
	"core":         {"cluster"},
	"cibgen":       {"cluster", "pacemaker", "scheduler"}, // random problems for the scheduler's tests
	"agent":        {"cluster", "core"},
	"driver":       {"cluster", "core"},
	"sim":          {"cluster", "core", "scheduler"},
	// The API derives views from State, and checks and compares configurations.
	"api":    {"cluster", "config", "core"},
	"daemon": {"agent", "api", "cluster", "config", "core", "driver", "pacemaker", "scheduler"},
	"lab":    {"api"}, // a client of the clusters that it forms
	// The command line is a client of the API; what else it names are the other
	// faces of the binary (daemon, lab, agents, helper commands), and reading files.
	"cli": {"agent", "api", "cluster", "config", "daemon", "lab", "pacemaker", "scheduler", "sim"},
}

// deterministic packages get time and seeds with their events: no goroutine,
// clock, randomness or I/O of their own.
var deterministic = []string{"cluster", "config", "scheduler", "core"}

// forbidden imports of deterministic packages, with everything below them.
var forbidden = []string{
	"os", "net", "syscall", "io/ioutil", "log", "math/rand", "crypto/rand", "sync", "runtime", "context", "unsafe",
	"plugin", "testing", "golang.org/x/sys", "golang.org/x/net", "golang.org/x/sync", "github.com/vishvananda",
}

// pure lists exceptions to forbidden: values without I/O.
var pure = []string{"net/netip", "net/url"}

// forbiddenUses of packages that may otherwise be imported.
var forbiddenUses = map[string][]string{
	"time": {"Now", "Since", "Until", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Sleep", "Local", "LoadLocation"},
	"fmt":  {"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
}

func TestRulesOfTheHouse(t *testing.T) {
	root := moduleRoot(t)
	files := 0
	for _, dir := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if entry.IsDir() || !strings.HasSuffix(path, ".go") {
				return nil
			}
			files++
			source, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			breaches, err := check(filepath.ToSlash(name), source)
			if err != nil {
				return err
			}
			for _, breach := range breaches {
				t.Error(breach)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files == 0 {
		t.Fatal("found no Go file to check")
	}
}

// TestCheckerSeesBreaches proves that each rule can fail.
func TestCheckerSeesBreaches(t *testing.T) {
	tests := []struct{ name, path, source, want string }{
		{"clean", "internal/core/a.go", "package core\nimport (\n\"time\"\n\"linuxha/internal/cluster\"\n)\nvar x time.Duration\nvar _ cluster.Config", ""},
		{"own sub-package", "internal/core/a.go", "package core\nimport _ \"linuxha/internal/core/fencing\"", ""},
		{"pure exception", "internal/core/a.go", "package core\nimport _ \"net/netip\"", ""},
		{"clock", "internal/core/heartbeat/a.go", "package heartbeat\nimport \"time\"\nvar x = time.Now()", "time.Now"},
		{"renamed clock", "internal/core/a.go", "package core\nimport c \"time\"\nvar x = c.Now()", "time.Now"},
		{"network", "internal/scheduler/a.go", "package scheduler\nimport _ \"net/http\"", "net/http"},
		{"random", "internal/cluster/a.go", "package cluster\nimport _ \"math/rand/v2\"", "math/rand/v2"},
		{"goroutine", "internal/core/a.go", "package core\nfunc f() { go f() }", "starts a goroutine"},
		{"upward import", "internal/cluster/a.go", "package cluster\nimport _ \"linuxha/internal/core\"", "may not import internal/core"},
		{"core imports driver", "internal/core/fencing/a.go", "package fencing\nimport _ \"linuxha/internal/driver/udp\"", "may not import internal/driver"},
		{"unknown package", "internal/helpers/a.go", "package helpers", "has no place"},
		{"long file", "internal/cli/a.go", "package cli\n" + strings.Repeat("\n", maxLines), "lines"},
		{"tests may use the world", "internal/core/a_test.go", "package core\nimport _ \"os\"", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			breaches, err := check(test.path, []byte(test.source))
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(breaches, "\n")
			if (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// check returns the breaches in one file; path is relative to the module's root.
func check(path string, source []byte) ([]string, error) {
	var breaches []string
	breach := func(format string, args ...any) { breaches = append(breaches, path+": "+fmt.Sprintf(format, args...)) }

	if lines := bytes.Count(source, []byte("\n")); lines > maxLines {
		breach("%d lines, the most is %d: split it by purpose", lines, maxLines)
	}
	parts := strings.Split(path, "/")
	if parts[0] != "internal" {
		return breaches, nil
	}
	owner := parts[1]
	allowed, known := mayImport[owner]
	if !known {
		breach("package internal/%s has no place in mayImport (%s)", owner, "internal/architecture")
		return breaches, nil
	}
	if strings.HasSuffix(path, "_test.go") {
		return breaches, nil
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", path, err)
	}
	strict := slices.Contains(deterministic, owner)
	names := map[string]string{} // local name -> import path
	for _, spec := range file.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, fmt.Errorf("import in %s: %w", path, err)
		}
		name := target[strings.LastIndex(target, "/")+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = target
		if ours, ok := strings.CutPrefix(target, "linuxha/internal/"); ok {
			top, _, _ := strings.Cut(ours, "/")
			if top != owner && !slices.Contains(allowed, top) {
				breach("internal/%s may not import internal/%s", owner, top)
			}
		}
		if strict && slices.ContainsFunc(forbidden, func(f string) bool { return within(target, f) }) && !slices.Contains(pure, target) {
			breach("a deterministic package may not import %s", target)
		}
	}
	if strict {
		ast.Inspect(file, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.GoStmt:
				breach("line %d starts a goroutine in a deterministic package", set.Position(node.Pos()).Line)
			case *ast.SelectorExpr:
				name, ok := node.X.(*ast.Ident)
				if ok && slices.Contains(forbiddenUses[names[name.Name]], node.Sel.Name) {
					breach("line %d uses %s.%s in a deterministic package", set.Position(node.Pos()).Line, names[name.Name], node.Sel.Name)
				}
			}
			return true
		})
	}
	return breaches, nil
}

// within reports whether the import path is root or lies below it.
func within(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }

func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the test's directory")
		}
		dir = parent
	}
}
