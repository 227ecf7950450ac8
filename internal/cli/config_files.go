package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"

	"linuxha/internal/config"
)

// loadConfig reads a file, or all *.hcl and *.hcl.json files of a directory in the
// order of their names. "-" is standard input.
func loadConfig(path string) ([]config.Source, error) {
	if path == "-" {
		text, err := readBounded(os.Stdin, config.MaxSource)
		if err != nil {
			return nil, fmt.Errorf("read configuration from standard input: %w", err)
		}
		return []config.Source{{Name: "<stdin>", Text: text}}, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	names := []string{path}
	if info.IsDir() {
		names = nil
		for _, pattern := range []string{"*.hcl", "*.hcl.json"} {
			found, err := filepath.Glob(filepath.Join(path, pattern))
			if err != nil {
				return nil, fmt.Errorf("read configuration: %w", err)
			}
			names = append(names, found...)
		}
		if len(names) == 0 {
			return nil, fmt.Errorf("read configuration: %s holds no *.hcl file", path)
		}
		sort.Strings(names)
	}
	var sources []config.Source
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
		text, err := readBounded(f, config.MaxSource)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("read configuration from %s: %w", name, err)
		}
		sources = append(sources, config.Source{Name: name, Text: text})
	}
	return sources, nil
}

// readBounded reads all of f, which may have up to limit bytes.
func readBounded(f io.Reader, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("more than %d bytes", limit)
	}
	return text, nil
}
