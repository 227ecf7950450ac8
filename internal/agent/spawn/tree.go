package spawn

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// stat is what /proc/PID/stat says.
type stat struct {
	pid, parent, session int
	state                byte
	start                uint64
}

func (s stat) dead() bool { return s.state == 'Z' || s.state == 'X' }

func readStat(pid int) (stat, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(data)
}

// parseStat reads a line of proc(5)'s /proc/PID/stat. The name in brackets may
// hold anything, brackets too.
func parseStat(line []byte) (stat, error) {
	bad := errors.New("/proc/PID/stat has an unknown form")
	open, end := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if open < 1 || end < open {
		return stat{}, bad
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(line[:open])))
	fields := bytes.Fields(line[end+1:]) // from field 3 on
	if err != nil || len(fields) < 20 || len(fields[0]) != 1 {
		return stat{}, bad
	}
	s := stat{pid: pid, state: fields[0][0]}
	if s.parent, err = strconv.Atoi(string(fields[1])); err != nil {
		return stat{}, bad
	}
	if s.session, err = strconv.Atoi(string(fields[3])); err != nil {
		return stat{}, bad
	}
	if s.start, err = strconv.ParseUint(string(fields[19]), 10, 64); err != nil {
		return stat{}, bad
	}
	return s, nil
}

// members returns the living processes of the session that id leads or led, and
// its descendants in whatever session; with itself if it lives.
func (id ID) members() []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	parents := make(map[int]stat)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil {
			parents[pid] = s
		}
	}
	// The number is not given out again while a session bears it.
	if leader, ok := parents[id.PID]; ok && leader.start != id.Start {
		return nil
	}
	var found []int
	for pid, s := range parents {
		if !s.dead() && s.start >= id.Start && (s.session == id.PID || id.descends(parents, s)) {
			found = append(found, pid)
		}
	}
	return found
}

// descends tells whether s is the process or below it.
func (id ID) descends(parents map[int]stat, s stat) bool {
	for range len(parents) { // a snapshot that is not one of a moment may hold a circle
		if s.pid == id.PID {
			return s.start == id.Start
		}
		next, ok := parents[s.parent]
		if !ok {
			return false
		}
		s = next
	}
	return false
}

// Rest tells how many processes of its session, or below it, live.
func (id ID) Rest() int { return len(id.members()) }

// SignalAll sends sig to every process of its session, and below it.
func (id ID) SignalAll(sig syscall.Signal) {
	for _, pid := range id.members() {
		syscall.Kill(pid, sig)
	}
}

// Kill ends the process, its session and its descendants, and returns when none
// of them is left. A daemon that one of them started in a session of its own, and
// that has no living parent among them, is not theirs any more. It gives up after
// five seconds: what stands in uninterruptible sleep cannot be killed.
func (id ID) Kill() error {
	deadline := time.Now().Add(5 * time.Second)
	for pause := 200 * time.Microsecond; ; pause = min(2*pause, 50*time.Millisecond) {
		members := id.members()
		if len(members) == 0 {
			return nil
		}
		for _, pid := range members {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("kill process %d: %d processes do not end", id.PID, len(members))
		}
		time.Sleep(pause)
	}
}
