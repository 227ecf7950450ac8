package lab

import (
	"testing"

	"golang.org/x/net/bpf"
)

func TestDropFilter(t *testing.T) {
	peer, other := [6]byte{2, 0x77, 0, 0, 1, 2}, [6]byte{2, 0x77, 0, 0, 1, 3}
	frame := func(from [6]byte) []byte {
		return append(append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, from[:]...), 8, 0, 1, 2, 3, 4)
	}
	tests := []struct {
		name    string
		program []bpf.Instruction
		from    [6]byte
		want    int
	}{
		{"nothing", dropFilter(false, 0, nil), peer, verdictPass},
		{"everything", dropFilter(true, 0, nil), peer, verdictDrop},
		{"total loss", dropFilter(false, 100, nil), peer, verdictDrop},
		{"peer", dropFilter(false, 0, [][6]byte{peer}), peer, verdictDrop},
		{"not the peer", dropFilter(false, 0, [][6]byte{peer}), other, verdictPass},
		{"second peer", dropFilter(false, 0, [][6]byte{peer, other}), other, verdictDrop},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			vm, err := bpf.NewVM(test.program)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := vm.Run(frame(test.from)); err != nil || got != test.want {
				t.Errorf("verdict %d, %v; want %d", got, err, test.want)
			}
		})
	}
}
