package store

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// A bbolt file begins with two root pages; commits write them in turn, and the
// library goes on with the older one where the newer does not check. That would
// silently forget the last acknowledged batch (a vote, for one), so here a root
// that does not check is damage. A commit cut short by a power loss leaves the
// root it was writing old or new, not mixed: its 64 bytes lie in one sector.
const (
	rootOffset   = 16 // after the page's header
	rootSize     = 64
	rootChecksum = 56 // FNV-1a over what is before it
	rootPageSize = 8
)

// checkRoots returns what is wrong with the root pages of the file at path.
func checkRoots(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	first, err := readRoot(f, 0)
	if err != nil {
		return fmt.Errorf("first root page: %w", err)
	}
	pageSize := binary.NativeEndian.Uint32(first[rootPageSize:])
	if _, err := readRoot(f, int64(pageSize)); err != nil {
		return fmt.Errorf("second root page: %w", err)
	}
	return nil
}

func readRoot(f io.ReaderAt, page int64) ([]byte, error) {
	root := make([]byte, rootSize)
	if _, err := f.ReadAt(root, page+rootOffset); err != nil {
		return nil, err
	}
	sum := fnv.New64a()
	sum.Write(root[:rootChecksum])
	if sum.Sum64() != binary.NativeEndian.Uint64(root[rootChecksum:]) {
		return nil, fmt.Errorf("the checksum does not match")
	}
	return root, nil
}
