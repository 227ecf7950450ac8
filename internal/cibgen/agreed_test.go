package cibgen

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// numbered matches the number of an instance in an action.
var numbered = regexp.MustCompile(`:[0-9]+ `)

// TestAgreed keeps what the differential test found to be wrong in our scheduler
// and is mended: a document each, with the actions beside it that both schedulers
// decide on. Where crm_simulate is installed it is asked again.
func TestAgreed(t *testing.T) {
	files, err := filepath.Glob("testdata/agreed/*.xml")
	if err != nil || len(files) == 0 {
		t.Fatal("no documents:", err)
	}
	program, _ := exec.LookPath("crm_simulate") // or ""
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".xml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			facts := Facts{Unique: map[string]bool{}}
			var reference []string
			if program != "" {
				outcome, _, err := Simulator{Program: program, Dir: t.TempDir()}.Run(data, moment)
				if err != nil {
					t.Fatal(err)
				}
				for _, line := range outcome.Actions { // instances have no numbers here
					reference = append(reference, numbered.ReplaceAllString(line, " "))
				}
				slices.Sort(reference)
			}
			got, err := Ours(data, moment, facts)
			if err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(file, ".xml") + ".actions"
			if *update {
				if err := os.WriteFile(golden, []byte(strings.Join(got.Actions, "\n")+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			text, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Split(strings.TrimSpace(string(text)), "\n")
			if d := Difference(want, got.Actions); len(d) > 0 {
				t.Error("not as recorded:\n" + strings.Join(d, "\n"))
			}
			if program != "" {
				if d := Difference(reference, got.Actions); len(d) > 0 {
					t.Error("not as crm_simulate:\n" + strings.Join(d, "\n"))
				}
			}
		})
	}
}
