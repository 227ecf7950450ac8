package process

import (
	"os"
	"strings"
)

// maxLog bounds the log in the run directory, in bytes; as much again is kept of
// what was before.
const maxLog = 1 << 20

func (a *Agent) openLog(resource string, c config) (*os.File, error) {
	path := c.log
	if path == "" {
		path = a.path(resource, ".log")
		boundLog(path)
	}
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

// boundLog copies the end of a log that has grown too large, and empties it: the
// process goes on writing to the same file.
func boundLog(path string) {
	if path == "" {
		return
	}
	if info, err := os.Stat(path); err != nil || info.Size() <= maxLog {
		return
	}
	if last := tailOf(path, maxLog); last != nil {
		os.WriteFile(path+".old", last, 0o600)
	}
	os.Truncate(path, 0)
}

// tail returns the end of a log, for people.
func tail(path string) string {
	return strings.TrimSpace(strings.ToValidUTF8(string(tailOf(path, 2<<10)), "\uFFFD"))
}

func tailOf(path string, n int64) []byte {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	data := make([]byte, min(n, info.Size()))
	got, _ := file.ReadAt(data, info.Size()-int64(len(data)))
	return data[:got]
}
