package cibgen

import (
	"crypto/sha256"
	"encoding/gob"
	"errors"
	"io"
	"os"
	"strconv"
	"testing"
)

// answers are what crm_simulate decided on documents, kept in a file between runs:
// it takes nearly all of the time, and a document that is the same has the same
// answer, whatever our scheduler has become since.
type answers struct {
	known map[[sha256.Size]byte]answer
	out   *gob.Encoder // nil if none are kept
}

// answer is one of them.
type answer struct {
	Document [sha256.Size]byte
	Outcome  Outcome
	Facts    Facts
	Aborted  string // how crm_simulate gave up, or ""
}

// openAnswers reads what earlier runs kept under that name, and keeps there what is
// asked from now on; without a name nothing is kept.
func openAnswers(t *testing.T, name string) *answers {
	a := &answers{known: map[[sha256.Size]byte]answer{}}
	if name == "" {
		return a
	}
	for part := 1; ; part++ { // each run makes one, NAME.1 and so on
		file, err := os.OpenFile(name+"."+strconv.Itoa(part), os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = file.Close() }) // each answer was written when it came
		before := len(a.known)
		for in := gob.NewDecoder(file); ; {
			var one answer
			err := in.Decode(&one)
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) { // the run may have been ended
				break
			} else if err != nil {
				t.Fatalf("read %s: %v", file.Name(), err)
			}
			a.known[one.Document] = one
		}
		if len(a.known) == before {
			a.out = gob.NewEncoder(file)
			return a
		}
	}
}

// of is crm_simulate's answer to a document.
func (a *answers) of(t *testing.T, sim Simulator, document []byte) (Outcome, Facts, error) {
	key := sha256.Sum256(document)
	one, ok := a.known[key]
	if !ok {
		outcome, facts, err := sim.Run(document, moment)
		if err != nil && !errors.Is(err, ErrAborted) {
			return Outcome{}, Facts{}, err
		}
		one = answer{Document: key, Outcome: outcome, Facts: facts}
		if err != nil {
			one.Aborted = err.Error()
		}
		if a.out != nil {
			if err := a.out.Encode(one); err != nil {
				t.Fatal(err)
			}
		}
	}
	if one.Aborted != "" {
		return Outcome{}, Facts{}, ErrAborted
	}
	return one.Outcome, one.Facts, nil
}
