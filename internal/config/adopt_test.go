package config_test

import (
	"bytes"
	"os"
	"testing"

	"linuxha/internal/config"
	"linuxha/internal/pacemaker"
)

// FuzzAdopt: no CIB crashes what makes a configuration of it; the text is accepted
// unless the remarks say what is to be mended, and is printed the same again.
func FuzzAdopt(f *testing.F) {
	for _, file := range []string{"../cli/testdata/import/old.xml", "../cli/testdata/simulate/shop.xml", "../pacemaker/testdata/everything.xml"} {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cib, err := pacemaker.Parse(string(data), pacemaker.Options{Lenient: true})
		if err != nil {
			return
		}
		text, remarks := config.Adopt(&cib.Config, "c")
		toMend := false
		for _, r := range remarks {
			toMend = toMend || r.Kind == config.ToMend
		}
		adopted, err := config.Parse(config.Source{Name: "adopted.hcl", Text: text})
		if toMend != (err != nil) {
			t.Fatalf("remarks %v, but reading the text: %v\n%s", remarks, err, text)
		}
		if err == nil && !bytes.Equal(config.Format(adopted), text) {
			t.Fatalf("printed\n%s\nthen\n%s", text, config.Format(adopted))
		}
	})
}
