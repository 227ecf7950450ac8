package pacemaker

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"testing"
)

// FuzzParse: no input crashes the importer, every fault has a place inside the
// document, and our XML reader accepts nothing that encoding/xml refuses.
func FuzzParse(f *testing.F) {
	whole, err := os.ReadFile("testdata/everything.xml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	for _, seed := range []string{
		"<cib/>", "<?xml version='1.0'?>\n<cib><configuration/><status/></cib>",
		`<cib a="&#65;&lt;&#x41;"><!-- c --></cib>`, "<cib\n\ta='\"'\r\n/>", "<a></b>", "<a b></a>", "<a b=c/>", "&", "<!-->", "<?x?>",
		`<cib><configuration><resources><clone id="c"><clone id="c"/></clone></resources></configuration></cib>`,
		`<cib><status><node_state/><node_state id="1"><lrm><lrm_resources><lrm_resource id="x"><lrm_rsc_op call-id="9999999999999999999"/></lrm_resource></lrm_resources></lrm></node_state></status></cib>`,
		`<cib><configuration><resources><bundle id="b"><docker image="i" replicas="99999999"/></bundle></resources></configuration></cib>`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, lenient := range []bool{false, true} {
			_, err := Parse(string(data), Options{Lenient: lenient})
			if err == nil {
				continue
			}
			e, ok := errors.AsType[*Error](err)
			if !ok || len(e.Problems) == 0 {
				t.Fatalf("error without problems: %v", err)
			}
			lines := 1 + bytes.Count(data, []byte("\n"))
			for _, p := range e.Problems {
				if p.Line < 1 || p.Line > lines || p.Column < 1 || p.Text == "" {
					t.Errorf("problem without place: %v", p)
				}
			}
		}
		doc, err := parseXML(string(data))
		if err != nil {
			return
		}
		elements, attributes, err := countXML(data)
		if err != nil {
			t.Fatalf("accepted what encoding/xml refuses: %v", err)
		}
		if elements != len(doc.elems) || attributes != len(doc.attrs) {
			t.Fatalf("%d elements, %d attributes; encoding/xml finds %d, %d", len(doc.elems), len(doc.attrs), elements, attributes)
		}
	})
}

func countXML(data []byte) (elements, attributes int, err error) {
	dec := xml.NewDecoder(bytes.NewReader(data))
	dec.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	for {
		tok, err := dec.RawToken()
		if err == io.EOF {
			return elements, attributes, nil
		}
		if err != nil {
			return 0, 0, err
		}
		if start, ok := tok.(xml.StartElement); ok {
			elements++
			attributes += len(start.Attr)
		}
	}
}
