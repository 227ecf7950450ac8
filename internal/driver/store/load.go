package store

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"

	"go.etcd.io/bbolt"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"linuxha/internal/core/event"
)

// castagnoli is made when it is first asked for, and kept: most commands of ha
// need none.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// seal returns value as it is stored: a checksum over key and value, then value.
func seal(key, value []byte) []byte {
	sum := crc32.Update(crc32.Checksum(key, castagnoli()), castagnoli(), value)
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(value)), sum), value...)
}

// unseal checks and returns a stored value. The result is a view into the file's
// map: it must not outlive the transaction.
func unseal(key, raw []byte) ([]byte, error) {
	if len(raw) < 4 {
		return nil, fmt.Errorf("%q is cut short", key)
	}
	value := raw[4:]
	if crc32.Update(crc32.Checksum(key, castagnoli()), castagnoli(), value) != binary.BigEndian.Uint32(raw) {
		return nil, fmt.Errorf("the checksum of %q does not match", key)
	}
	return value, nil
}

func indexKey(index uint64) []byte { return binary.BigEndian.AppendUint64(nil, index) }

func putRange(meta *bbolt.Bucket, base, last uint64) error {
	return meta.Put(rangeKey, seal(rangeKey, binary.BigEndian.AppendUint64(indexKey(base), last)))
}

// getRange returns the index below the log and that of its last entry.
func getRange(meta *bbolt.Bucket) (base, last uint64, err error) {
	value, err := get(meta, rangeKey)
	if err != nil {
		return 0, 0, err
	}
	if len(value) != 16 {
		return 0, 0, fmt.Errorf("the log's range is missing")
	}
	return binary.BigEndian.Uint64(value), binary.BigEndian.Uint64(value[8:]), nil
}

// get returns a value of the meta bucket, nil where there is none.
func get(meta *bbolt.Bucket, key []byte) ([]byte, error) {
	raw := meta.Get(key)
	if raw == nil {
		return nil, nil
	}
	return unseal(key, raw)
}

// load reads everything and checks that it fits together.
func load(tx *bbolt.Tx) (event.Stored, error) {
	var stored event.Stored
	meta, log := tx.Bucket(metaBucket), tx.Bucket(logBucket)
	if meta == nil || log == nil {
		return stored, fmt.Errorf("a part of the file is missing")
	}
	version, err := get(meta, versionKey)
	if err != nil {
		return stored, err
	}
	if len(version) != 1 || version[0] != FormatVersion {
		return stored, fmt.Errorf("layout version %v, this daemon knows %d", version, FormatVersion)
	}
	identity, err := get(meta, identityKey)
	if err != nil {
		return stored, err
	}
	if identity == nil {
		stored.Fresh = true
	} else if err := json.Unmarshal(identity, &stored.Identity); err != nil {
		return stored, fmt.Errorf("decode identity: %w", err)
	}
	if stored.HardState, err = getMessage(meta, hardKey, new(raftpb.HardState)); err != nil {
		return stored, err
	}
	if stored.Snapshot, err = getMessage(meta, snapshotKey, new(raftpb.Snapshot)); err != nil {
		return stored, err
	}
	base, last, err := getRange(meta)
	if err != nil {
		return stored, err
	}
	if at := stored.Snapshot.GetMetadata().GetIndex(); at != base {
		return stored, fmt.Errorf("the snapshot is at %d, the log begins after %d", at, base)
	}
	if commit := stored.HardState.GetCommit(); commit > last {
		return stored, fmt.Errorf("entries up to %d were committed, the log ends at %d", commit, last)
	}
	stored.Entries, err = loadEntries(log, base, last)
	return stored, err
}

func loadEntries(log *bbolt.Bucket, base, last uint64) ([]*raftpb.Entry, error) {
	var entries []*raftpb.Entry
	next, term := base+1, uint64(0)
	c := log.Cursor()
	for k, raw := c.First(); k != nil; k, raw = c.Next() {
		if len(k) != 8 || binary.BigEndian.Uint64(k) != next {
			return nil, fmt.Errorf("the log has a gap at %d", next)
		}
		entry, err := openEntry(next, raw)
		if err != nil {
			return nil, err
		}
		if entry.GetIndex() != next || entry.GetTerm() < term {
			return nil, fmt.Errorf("entry %d says that it is entry %d of term %d", next, entry.GetIndex(), entry.GetTerm())
		}
		term = entry.GetTerm()
		entries = append(entries, entry)
		next++
	}
	if next-1 != last {
		return nil, fmt.Errorf("the log ends at %d, not at %d", next-1, last)
	}
	return entries, nil
}

func openEntry(index uint64, raw []byte) (*raftpb.Entry, error) {
	key := indexKey(index)
	value, err := unseal(key, raw)
	if err != nil {
		return nil, fmt.Errorf("entry %d: %w", index, err)
	}
	entry := new(raftpb.Entry)
	if err := proto.Unmarshal(value, entry); err != nil {
		return nil, fmt.Errorf("decode entry %d: %w", index, err)
	}
	return entry, nil
}

// getMessage decodes the value of key into m and returns m, or nil where there
// is none.
func getMessage[M proto.Message](meta *bbolt.Bucket, key []byte, m M) (M, error) {
	var none M
	value, err := get(meta, key)
	if err != nil || value == nil {
		return none, err
	}
	if err := proto.Unmarshal(value, m); err != nil {
		return none, fmt.Errorf("decode %s: %w", key, err)
	}
	return m, nil
}
