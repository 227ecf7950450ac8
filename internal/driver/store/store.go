// Package store keeps a node's durable state in one bbolt file: identity, Raft
// log, hard state and snapshot. Every batch is one transaction and one durable
// commit; every value carries a checksum, so that damage is found at start and
// reported as torn, never used.
package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
	"go.etcd.io/raft/v3/raftpb"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"linuxha/internal/core/event"
)

// FormatVersion is the version of the file's layout.
const FormatVersion = 1

// lockTimeout is how long Open waits for another process to let go of the file.
const lockTimeout = 2 * time.Second

var (
	metaBucket = []byte("meta")
	logBucket  = []byte("log")

	versionKey  = []byte("version")
	identityKey = []byte("identity")
	hardKey     = []byte("hardstate")
	snapshotKey = []byte("snapshot")
	rangeKey    = []byte("range") // base and last index of the log
)

// Store is the file. Save may be called by one goroutine at a time.
type Store struct {
	path string

	mu     sync.Mutex // guards the fields below
	db     *bbolt.DB  // nil while the file is damaged, and after Close
	broken error      // the first failed write: nothing may be written after it
}

// Open opens the file at path, creating it where there is none, and returns
// what it holds. Damage is no error: it is told by Stored.Torn, and then Save
// is refused until Discard.
func Open(path string) (*Store, event.Stored, error) {
	s := &Store{path: path}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := s.create(); err != nil {
			return nil, event.Stored{}, err
		}
		return s, event.Stored{Fresh: true}, nil
	case err != nil:
		return nil, event.Stored{}, fmt.Errorf("open state: %w", err)
	case info.Size() == 0:
		return s, torn(errors.New("the file is empty")), nil
	}
	stored, err := s.open()
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, event.Stored{}, fmt.Errorf("open state %s: another process holds it; is a daemon running already?", path)
	case errors.Is(err, fs.ErrPermission):
		return nil, event.Stored{}, fmt.Errorf("open state: %w", err)
	case err != nil:
		return s, torn(errors.Join(err, s.Close())), nil
	}
	return s, stored, nil
}

func torn(err error) event.Stored { return event.Stored{Torn: err.Error()} }

// open opens an existing file and reads all of it.
func (s *Store) open() (stored event.Stored, err error) {
	// A damaged page tree makes the library panic, and a file that is shorter
	// than its pages say makes the map fault: both mean damage.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	var file *os.File
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the file's pages are damaged: %v", p)
			if s.db == nil && file != nil {
				// The library panicked in opening it; its map, which stays, would keep the lock.
				unix.Flock(int(file.Fd()), unix.LOCK_UN)
				file.Close()
			}
		}
	}()
	o := options()
	o.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		var err error
		file, err = os.OpenFile(name, flag, mode)
		return file, err
	}
	s.db, err = bbolt.Open(s.path, 0o600, o) // takes the file's lock
	if err != nil {
		return event.Stored{}, err
	}
	if err := checkRoots(s.path); err != nil {
		return event.Stored{}, err
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		stored, err = load(tx)
		return err
	})
	return stored, err
}

func options() *bbolt.Options {
	return &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType, NoStatistics: true}
}

// create makes the file and makes its name durable.
func (s *Store) create() error {
	db, err := bbolt.Open(s.path, 0o600, options())
	if err != nil {
		return fmt.Errorf("create state %s: %w", s.path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		meta, err := tx.CreateBucketIfNotExists(metaBucket)
		if err != nil {
			return err
		}
		if _, err := tx.CreateBucketIfNotExists(logBucket); err != nil {
			return err
		}
		if err := meta.Put(versionKey, seal(versionKey, []byte{FormatVersion})); err != nil {
			return err
		}
		return putRange(meta, 0, 0)
	})
	if err == nil {
		err = syncDir(filepath.Dir(s.path))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("create state %s: %w", s.path, err), db.Close())
	}
	s.db = db
	return nil
}

// Discard sets a damaged file aside (under its name with a suffix) and begins a
// new, empty one.
func (s *Store) Discard() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.closeLocked(); err != nil {
		return err
	}
	aside := fmt.Sprintf("%s.damaged-%d", s.path, time.Now().Unix())
	if err := os.Rename(s.path, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("set damaged state aside: %w", err)
	}
	s.broken = nil
	return s.create()
}

// Save makes p durable in one transaction. After a failure every further Save
// fails: what reached the disk is then unknown until the next Open.
func (s *Store) Save(p *event.Persist) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return fmt.Errorf("save batch %d: an earlier write failed: %w", p.Seq, s.broken)
	}
	if s.db == nil {
		return fmt.Errorf("save batch %d: the state file %s is not open", p.Seq, s.path)
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the file's pages are damaged: %v", r)
		}
		if err != nil {
			s.broken = err
			err = fmt.Errorf("save batch %d: %w", p.Seq, err)
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return s.db.Update(func(tx *bbolt.Tx) error { return apply(tx, p) })
}

// Close lets go of the file.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closeLocked()
}

func (s *Store) closeLocked() error {
	if s.db == nil {
		return nil
	}
	db := s.db
	s.db = nil
	if err := db.Close(); err != nil {
		return fmt.Errorf("close state: %w", err)
	}
	return nil
}

// apply writes p with the meaning that event.Stored.Apply defines.
func apply(tx *bbolt.Tx, p *event.Persist) error {
	meta, log := tx.Bucket(metaBucket), tx.Bucket(logBucket)
	base, last, err := getRange(meta)
	if err != nil {
		return err
	}
	if p.Reset {
		if err := errors.Join(deleteFrom(log, 0), meta.Delete(hardKey), meta.Delete(snapshotKey)); err != nil {
			return err
		}
		base, last = 0, 0
	}
	if p.Identity != nil {
		data, err := json.Marshal(p.Identity)
		if err != nil {
			return fmt.Errorf("encode identity: %w", err)
		}
		if err := meta.Put(identityKey, seal(identityKey, data)); err != nil {
			return err
		}
	}
	if p.Snapshot != nil {
		if base, last, err = putSnapshot(meta, log, p.Snapshot, base, last); err != nil {
			return err
		}
	}
	if len(p.Entries) > 0 {
		if last, err = putEntries(log, p.Entries, base, last); err != nil {
			return err
		}
	}
	if p.HardState != nil {
		if err := putMessage(meta, hardKey, p.HardState); err != nil {
			return err
		}
	}
	return putRange(meta, base, last)
}

// putSnapshot replaces the snapshot at base and drops what the new one covers of
// the log, or all of the log where it does not continue the snapshot.
func putSnapshot(meta, log *bbolt.Bucket, snapshot *raftpb.Snapshot, base, last uint64) (uint64, uint64, error) {
	index, term := snapshot.GetMetadata().GetIndex(), snapshot.GetMetadata().GetTerm()
	continues := index == base && meta.Get(snapshotKey) != nil // the log begins behind it
	if raw := log.Get(indexKey(index)); raw != nil {
		entry, err := openEntry(index, raw)
		if err != nil {
			return 0, 0, err
		}
		continues = entry.GetTerm() == term
	}
	if continues {
		if err := deleteTo(log, index); err != nil {
			return 0, 0, err
		}
	} else {
		if err := deleteFrom(log, 0); err != nil {
			return 0, 0, err
		}
		last = index
	}
	return index, last, putMessage(meta, snapshotKey, snapshot)
}

func putEntries(log *bbolt.Bucket, entries []*raftpb.Entry, base, last uint64) (uint64, error) {
	first := entries[0].GetIndex()
	if first > last+1 {
		return 0, fmt.Errorf("entry %d leaves a gap: the log ends at %d", first, last)
	}
	if entries[len(entries)-1].GetIndex() > base {
		if err := deleteFrom(log, max(first, base+1)); err != nil {
			return 0, err
		}
	}
	for i, entry := range entries {
		index := entry.GetIndex()
		if index != first+uint64(i) {
			return 0, fmt.Errorf("entries %d and %d of a batch do not follow each other", first+uint64(i)-1, index)
		}
		if index <= base {
			continue // the snapshot holds it already
		}
		if err := putMessage(log, indexKey(index), entry); err != nil {
			return 0, err
		}
		last = index
	}
	return last, nil
}

// deleteFrom removes the entries from index on.
func deleteFrom(log *bbolt.Bucket, index uint64) error {
	c := log.Cursor()
	for k, _ := c.Seek(indexKey(index)); k != nil; k, _ = c.Seek(indexKey(index)) {
		if err := c.Delete(); err != nil {
			return err
		}
	}
	return nil
}

// deleteTo removes the entries up to index.
func deleteTo(log *bbolt.Bucket, index uint64) error {
	c := log.Cursor()
	for k, _ := c.First(); k != nil && binary.BigEndian.Uint64(k) <= index; k, _ = c.First() {
		if err := c.Delete(); err != nil {
			return err
		}
	}
	return nil
}

func putMessage(b *bbolt.Bucket, key []byte, m proto.Message) error {
	data, err := proto.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return b.Put(key, seal(key, data))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
