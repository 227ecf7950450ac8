package store

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"linuxha/internal/core/event"
	"linuxha/internal/driver/store/storetest"
)

type onDisk struct {
	*Store
}

func (d *onDisk) Reopen() (event.Stored, error) {
	if err := d.Store.Close(); err != nil {
		return event.Stored{}, err
	}
	s, stored, err := Open(d.path)
	d.Store = s
	return stored, err
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store {
		s, _, err := Open(filepath.Join(t.TempDir(), "state.db"))
		if err != nil {
			t.Fatal(err)
		}
		d := &onDisk{s}
		t.Cleanup(func() { d.Store.Close() })
		return d
	})
}

func batch(seq uint64) *event.Persist {
	return &event.Persist{
		Seq:      seq,
		Identity: &event.Identity{Node: "alpha", Counter: seq},
		Entries: []*raftpb.Entry{
			{Term: new(uint64(1)), Index: new(2*seq - 1), Data: []byte(strings.Repeat("x", 300))},
			{Term: new(uint64(1)), Index: new(2 * seq), Data: []byte(strings.Repeat("y", 300))},
		},
		HardState: &raftpb.HardState{Term: new(uint64(1)), Vote: new(uint64(1)), Commit: new(2 * seq)},
	}
}

// TestKilled kills a process that saves without pause, many times, and checks
// that every batch is there whole or not at all, and each acknowledged one is.
func TestKilled(t *testing.T) {
	const variable = "STORE_TEST_FILE"
	if path := os.Getenv(variable); path != "" {
		saveForever(path)
	}
	path := filepath.Join(t.TempDir(), "state.db")
	for round := range 5 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), variable+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var acknowledged uint64
		lines := bufio.NewScanner(out)
		for n := 0; n < 20+7*round && lines.Scan(); n++ {
			if _, err := fmt.Sscan(lines.Text(), &acknowledged); err != nil {
				t.Fatalf("the child says %q", lines.Text())
			}
		}
		cmd.Process.Kill()
		cmd.Wait()
		s, stored, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		counter := stored.Identity.Counter
		if stored.Torn != "" || counter < acknowledged || uint64(len(stored.Entries)) != 2*counter || stored.HardState.GetCommit() != 2*counter {
			t.Fatalf("acknowledged %d; found torn %q, counter %d, %d entries, commit %d",
				acknowledged, stored.Torn, counter, len(stored.Entries), stored.HardState.GetCommit())
		}
		s.Close()
	}
}

func saveForever(path string) {
	s, stored, err := Open(path)
	if err != nil || stored.Torn != "" {
		fmt.Println(err, stored.Torn)
		os.Exit(1)
	}
	for seq := stored.Identity.Counter + 1; ; seq++ {
		if err := s.Save(batch(seq)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(seq)
	}
}

// TestDamage changes bytes of the file: what is then read is either what was
// written, or torn.
func TestDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s, _, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	var want event.Stored
	for seq := uint64(1); seq <= 20; seq++ {
		if err := s.Save(batch(seq)); err != nil {
			t.Fatal(err)
		}
		if err := want.Apply(batch(seq)); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(7, 7))
	torn := 0
	damage := map[string]func([]byte) []byte{
		"truncated":    func(b []byte) []byte { return b[:len(b)/2] },
		"empty":        func(b []byte) []byte { return nil },
		"short":        func(b []byte) []byte { return b[:1000] },
		"zeroed tail":  func(b []byte) []byte { clear(b[8192:]); return b },
		"not our file": func(b []byte) []byte { return []byte(strings.Repeat("no database\n", 2000)) },
	}
	for i := range 200 {
		damage[fmt.Sprint("bit ", i)] = func(b []byte) []byte { b[rng.IntN(len(b))] ^= 1 << rng.IntN(8); return b }
	}
	for name, change := range damage {
		if err := os.WriteFile(path, change(append([]byte(nil), good...)), 0o600); err != nil {
			t.Fatal(err)
		}
		s, got, err := Open(path)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got.Torn != "" {
			torn++
			if err := s.Save(batch(1)); err == nil {
				t.Fatalf("%s: a damaged store was written to", name)
			}
		} else if diff := storetest.Diff(want, got); diff != "" {
			t.Fatalf("%s: damage went unnoticed (-want +got):\n%s", name, diff)
		}
		s.Close()
	}
	t.Logf("%d of %d damaged files were found torn", torn, len(damage))
	if torn < 5 {
		t.Error("hardly any damage was noticed")
	}
}

func TestDiscard(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.db")
	if err := os.WriteFile(path, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, stored, err := Open(path)
	if err != nil || stored.Torn == "" {
		t.Fatalf("garbage was opened: %+v, %v", stored, err)
	}
	if err := s.Discard(); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(batch(1)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	aside, err := filepath.Glob(path + ".damaged-*")
	if err != nil || len(aside) != 1 {
		t.Fatalf("the damaged file was not kept: %v, %v", aside, err)
	}
}

func TestHeldByAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s, _, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, _, err := Open(path); err == nil || !strings.Contains(err.Error(), "daemon running") {
		t.Fatalf("opened twice: %v", err)
	}
}

func BenchmarkSave(b *testing.B) {
	s, _, err := Open(filepath.Join(b.TempDir(), "state.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for i := range b.N {
		if err := s.Save(batch(uint64(i + 1))); err != nil {
			b.Fatal(err)
		}
	}
}
