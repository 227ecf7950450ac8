package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"linuxha/internal/agent/spawn"
	"linuxha/internal/core/event"
)

// record is what is on file of an operation or fence call while it is in flight.
type record struct {
	Operation *event.Operation `json:"operation,omitempty"`
	Fence     string           `json:"fence,omitempty"`  // a fence call: action and target
	Failed    bool             `json:"failed,omitempty"` // an active resource's start did not succeed
	Boot      string           `json:"boot"`
	Process   *spawn.ID        `json:"process,omitempty"`  // nil: nothing outside the daemon
	Deadline  time.Duration    `json:"deadline,omitempty"` // on the boot-time clock; that of the operation's time-out
}

// maxRecord bounds a record file, in bytes.
const maxRecord = 4 << 20

// records is the directory of what is in flight: RUN/operations. A file system
// in memory is enough, since what it tells ends with the boot.
type records struct{ dir string }

const recordSuffix = ".json"

// openRecords makes the directory, and drops what belongs to another boot. The
// outputs that belong to no record are those that services may still write to.
func openRecords(dir, boot string) (records, []output, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return records{}, nil, err
	}
	r := records{dir}
	names, err := r.names()
	if err != nil {
		return records{}, nil, err
	}
	kept := make(map[string]bool)
	for _, id := range names {
		rec, err := r.read(id)
		if err != nil && !isBroken(err) {
			return records{}, nil, err
		}
		if kept[id] = err == nil && rec.Boot == boot; !kept[id] {
			r.remove(id)
		}
	}
	outputs, err := r.sweep(kept)
	return r, outputs, err
}

// sweep removes half-written files, and returns the outputs without a record.
func (r records) sweep(kept map[string]bool) (outputs []output, err error) {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		name := entry.Name()
		base, isOutput := strings.CutSuffix(name, outputSuffix)
		id, err := url.PathUnescape(base)
		switch {
		case strings.HasSuffix(name, recordSuffix) || isOutput && err == nil && kept[id]:
		case isOutput && err == nil:
			out, err := r.reopenOutput(id)
			if err != nil {
				return nil, err
			}
			outputs = append(outputs, out)
		default:
			os.Remove(filepath.Join(r.dir, name))
		}
	}
	return outputs, nil
}

// names returns the ids of all records.
func (r records) names() ([]string, error) {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, entry := range entries {
		base, ok := strings.CutSuffix(entry.Name(), recordSuffix)
		if !ok {
			continue
		}
		if id, err := url.PathUnescape(base); err == nil {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (r records) path(id, suffix string) string {
	return filepath.Join(r.dir, url.PathEscape(id)+suffix)
}

// write makes or replaces a record at once, never half.
func (r records) write(id string, rec *record) error {
	data, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("record operation %s: %w", id, err)
	}
	half := r.path(id, ".new")
	if err := os.WriteFile(half, data, 0o600); err != nil {
		return fmt.Errorf("record operation %s: %w", id, err)
	}
	if err := os.Rename(half, r.path(id, recordSuffix)); err != nil {
		return fmt.Errorf("record operation %s: %w", id, err)
	}
	return nil
}

// errBroken marks a record that does not make sense: written by another program,
// or damaged.
var errBroken = errors.New("does not make sense")

func isBroken(err error) bool { return errors.Is(err, errBroken) }

func (r records) read(id string) (*record, error) {
	file, err := os.Open(r.path(id, recordSuffix))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxRecord+1))
	if err != nil {
		return nil, err
	}
	rec, err := parseRecord(data)
	if err != nil {
		return nil, fmt.Errorf("record %s %w: %w", file.Name(), errBroken, err)
	}
	return rec, nil
}

func parseRecord(data []byte) (*record, error) {
	if len(data) > maxRecord {
		return nil, fmt.Errorf("more than %d bytes", maxRecord)
	}
	var rec record
	if err := json.Unmarshal(data, &rec); err != nil {
		return nil, err
	}
	if (rec.Operation == nil) == (rec.Fence == "") || rec.Boot == "" {
		return nil, errors.New("members are missing")
	}
	if rec.Process != nil && rec.Process.PID <= 1 {
		return nil, fmt.Errorf("process id %d", rec.Process.PID)
	}
	return &rec, nil
}

func (r records) remove(id string) {
	os.Remove(r.path(id, recordSuffix))
}

// bootClock is the time since boot, suspension included.
func bootClock() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		panic(err) // Linux has had it since 2.6.39
	}
	return time.Duration(now.Nano())
}

// readSecret reads a file that stands for a value; a line end at its end does
// not count.
func readSecret(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxSecret {
		return "", fmt.Errorf("%s holds more than %d bytes", path, maxSecret)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), nil
}
