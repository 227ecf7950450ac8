package spawn

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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

// members returns the living processes of the session that id leads or led, its
// descendants in whatever session, and all of its control group; with itself if it
// lives.
func (id ID) members() []stat {
	group := id.Group.members()
	return id.membersOf(id.candidates(group), group, nil)
}

// candidates are all processes; without a living leader, whose children nobody
// can tell any more, only those of its session and group, which is ten times as fast.
func (id ID) candidates(group map[int]bool) map[int]stat {
	leader, err := readStat(id.PID)
	if err == nil && leader.start == id.Start && !leader.dead() {
		return processes(func(int) bool { return true })
	}
	return processes(func(pid int) bool {
		session, err := unix.Getsid(pid)
		return err == nil && session == id.PID || pid == id.PID || group[pid]
	})
}

// membersOf looks in a snapshot; sessions are more sessions to count.
func (id ID) membersOf(all map[int]stat, group map[int]bool, sessions map[int]bool) []stat {
	// The number is not given out again while a session bears it.
	leader, ok := all[id.PID]
	other := ok && leader.start != id.Start
	var found []stat
	for _, s := range all {
		ours := !other && s.start >= id.Start && (s.session == id.PID || sessions[s.session] || id.descends(all, s))
		if !s.dead() && (ours || group[s.pid]) {
			found = append(found, s)
		}
	}
	return found
}

// processes reads what /proc tells of the processes that are wanted.
func processes(wanted func(pid int) bool) map[int]stat {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	all := make(map[int]stat)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || !wanted(pid) {
			continue
		}
		if s, err := readStat(pid); err == nil {
			all[pid] = s
		}
	}
	return all
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

// Rest tells how many processes of its session and group, or below it, live.
func (id ID) Rest() int { return len(id.members()) }

// SignalAll sends sig to every process of its session and group, and below it.
func (id ID) SignalAll(sig syscall.Signal) {
	for _, s := range id.members() {
		syscall.Kill(s.pid, sig)
	}
}

// Kill ends the process, its session, its descendants and its control group, and
// returns when none of them is left. Without a group, a daemon that one of them
// started in a session of its own, and that has no living parent among them, is not
// found. It gives up after five seconds: what stands in uninterruptible sleep cannot
// be killed.
func (id ID) Kill() error {
	deadline := time.Now().Add(5 * time.Second)
	killed := make(map[int]uint64) // start time by process id
	sessions := make(map[int]bool) // of descendants: what was orphaned in between still belongs there
	for pause := 200 * time.Microsecond; ; pause = min(2*pause, 50*time.Millisecond) {
		group := id.Group.members()
		all := id.candidates(group)
		if len(killed) > 0 {
			all = processes(func(int) bool { return true })
		}
		if len(group) > 0 {
			id.Group.kill()
		}
		for _, s := range id.membersOf(all, group, sessions) {
			syscall.Kill(s.pid, syscall.SIGKILL)
			killed[s.pid] = s.start
			sessions[s.session] = true
		}
		left := 0
		for pid, start := range killed {
			if s, ok := all[pid]; ok && s.start == start && !s.dead() {
				left++
			}
		}
		if left == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("kill process %d: %d processes do not end", id.PID, left)
		}
		time.Sleep(pause)
	}
}
