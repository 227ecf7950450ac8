package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"linuxha/internal/config"
)

// runImport returns what the command prints on both channels, and its exit code.
func runImport(args ...string) (stdout, stderr string, code int) {
	cmd := newImport()
	var out, talk bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&talk)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	err := cmd.Execute()
	if e, ok := errors.AsType[*ExitError](err); ok {
		code = e.Code
		if e.Err != nil {
			talk.WriteString(e.Error())
		}
	} else if err != nil {
		code = ExitFailure
	}
	return out.String(), talk.String(), code
}

// TestImport compares text and remarks with recorded ones; what the remarks do not
// call to be mended is accepted as it stands.
func TestImport(t *testing.T) {
	tests := []struct {
		name, file string
		code       int
	}{
		{"shop", shop, ExitOK},
		{"everything", "../pacemaker/testdata/everything.xml", ExitFailure},
		{"old", "testdata/import/old.xml", ExitFailure},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text, remarks, code := runImport(tt.file)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			_, err := config.Parse(config.Source{Name: tt.name, Text: []byte(text)})
			if strings.Contains(remarks, "to mend") != (err != nil) {
				t.Errorf("reading it back: %v; the remarks are\n%s", err, remarks)
			}
			golden(t, filepath.Join("import", tt.name+".txt"), text+"--- standard error\n"+remarks)
		})
	}
}

func TestImportJSON(t *testing.T) {
	text, _, code := runImport("--json", "--name", "web", shop)
	var x imported
	if err := json.Unmarshal([]byte(text), &x); err != nil || code != ExitOK {
		t.Fatalf("exit code %d, %v:\n%s", code, err, text)
	}
	if !strings.HasPrefix(x.Configuration, `cluster "web" {`) || len(x.Remarks) == 0 {
		t.Errorf("%+v", x)
	}
}

func TestImportRefusesWhatIsNoCIB(t *testing.T) {
	for file, want := range map[string]string{
		"testdata/simulate/small.hcl": "as a CIB: 1:1: ",
		"testdata/none.xml":           "no such file",
		"testdata":                    "is a directory",
	} {
		text, talk, code := runImport(file)
		if text != "" || code != ExitUsage || !strings.Contains(talk, want) {
			t.Errorf("%s: exit code %d, %q; want %q", file, code, talk, want)
		}
	}
}
