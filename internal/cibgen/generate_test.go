package cibgen

import (
	"bytes"
	"strings"
	"testing"
)

func TestGenerateIsDeterministic(t *testing.T) {
	for seed := range uint64(50) {
		a := Generate(seed, Limits{16, 60}).Document.Bytes()
		b := Generate(seed, Limits{16, 60}).Document.Bytes()
		if !bytes.Equal(a, b) {
			t.Fatalf("seed %d gives different documents", seed)
		}
	}
}

func TestParseReadsWhatIsWritten(t *testing.T) {
	a := Generate(7, Limits{16, 60}).Document.Bytes()
	root, err := Parse(a)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, root.Bytes()) {
		t.Error("reading and writing changes the document")
	}
}

func TestShrink(t *testing.T) {
	document := Generate(3, Limits{16, 60}).Document
	hasOffline := func(e *Element) bool {
		found := false
		var visit func(*Element)
		visit = func(e *Element) {
			found = found || (e.Name == "node_state" && e.Attr("uname") == "n1")
			for _, c := range e.Children {
				visit(c)
			}
		}
		visit(e)
		return found
	}
	small := Shrink(document, 10_000, hasOffline)
	want := " <status>\n  <node_state id=\"1\" uname=\"n1\" in_ccm=\"true\" crmd=\"online\" join=\"member\" expected=\"member\"/>\n </status>\n</cib>\n"
	if _, got, _ := strings.Cut(string(small.Bytes()), "\n"); got != want {
		t.Errorf("shrunk to\n%swant\n%s", got, want)
	}
}
