package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"unsafe"

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
		return []config.Source{{Name: "<stdin>", Text: []byte(text)}}, nil
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
		sources = append(sources, config.Source{Name: name, Text: []byte(text)})
	}
	return sources, nil
}

// readBounded reads all of f, which may have up to limit bytes.
func readBounded(f io.Reader, limit int64) (string, error) {
	text := &bytes.Buffer{}
	if f, ok := f.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() { // else the memory of half a dozen attempts is touched
			text = bytes.NewBuffer(make([]byte, 0, min(info.Size(), limit)+bytes.MinRead))
		}
	}
	n, err := text.ReadFrom(io.LimitReader(f, limit+1))
	if err != nil {
		return "", err
	}
	if n > limit {
		return "", fmt.Errorf("more than %d bytes", limit)
	}
	return unsafe.String(unsafe.SliceData(text.Bytes()), text.Len()), nil // nobody else has the buffer
}
