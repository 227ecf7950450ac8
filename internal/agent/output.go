package agent

import (
	"errors"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Programs write to a file, not to a pipe: a pipe would kill them together with
// the daemon that reads it.
const (
	outputSuffix = ".out"
	maxOutput    = 4 << 10  // kept of it, for people
	maxScanned   = 64 << 10 // looked at for exit reasons
	maxFile      = 1 << 20  // beyond which what a running program wrote is dropped
)

// output collects what a program prints. The descriptor for reading is apart from
// the program's, so that the kernel can tell whether anybody still writes.
type output struct {
	*os.File
}

func (r records) openOutput(id string) (out output, writer *os.File, err error) {
	writer, err = os.OpenFile(r.path(id, outputSuffix), os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return output{}, nil, err
	}
	if out, err = r.reopenOutput(id); err != nil {
		writer.Close()
		return output{}, nil, err
	}
	return out, writer, nil
}

// reopenOutput opens what a program of the previous daemon prints.
func (r records) reopenOutput(id string) (output, error) {
	file, err := os.OpenFile(r.path(id, outputSuffix), os.O_CREATE|os.O_RDONLY, 0o600)
	return output{file}, err
}

// bound empties the file when it has grown too large.
func (o output) bound() {
	if info, err := o.Stat(); err == nil && info.Size() > maxFile {
		os.Truncate(o.Name(), 0)
	}
}

// text returns the end of what was printed, in whole lines where it was cut.
func (o output) text() string {
	info, err := o.Stat()
	if err != nil {
		return ""
	}
	from := max(info.Size()-maxScanned, 0)
	data, err := io.ReadAll(io.NewSectionReader(o, from, maxScanned))
	if err != nil {
		return ""
	}
	text := strings.ToValidUTF8(string(data), "\uFFFD")
	if from > 0 {
		if _, rest, ok := strings.Cut(text, "\n"); ok {
			text = rest
		}
	}
	return text
}

// finish removes the file, unless a service that the agent started still writes
// to it: then it must stay, to be emptied now and then.
func (o output) finish() (ended bool) {
	if o.written() {
		return false
	}
	os.Remove(o.Name())
	o.Close()
	return true
}

// written tells whether a process has the file open for writing: a lease for
// reading is not to be had then.
func (o output) written() bool {
	_, err := unix.FcntlInt(o.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	if err != nil {
		return errors.Is(err, unix.EAGAIN)
	}
	unix.FcntlInt(o.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	return false
}

// cut shortens text to its last n bytes.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[len(text)-n:], "")
}
