package membership

import (
	"slices"
	"strings"
	"testing"
)

// candidates reads "a+v b+ c-v w*": + online and caught up, - silent, . off, ~ online
// but behind; v votes, l leads (and votes), * is a witness, > is leaving, ? unheard.
func candidates(text string) []Candidate {
	var list []Candidate
	for _, word := range strings.Fields(text) {
		c := Candidate{ID: uint64(word[0]), Name: word[:1], Heard: !strings.ContainsAny(word, "-.?")}
		for _, mark := range word[1:] {
			switch mark {
			case '+':
				c.Online, c.CaughtUp = true, true
			case '~':
				c.Online = true
			case '.':
				c.Off = true
			case '>':
				c.Leaving = true
			case 'v':
				c.Voter = true
			case 'l':
				c.Voter, c.Leader = true, true
			case '*':
				c.Witness = true
			}
		}
		list = append(list, c)
	}
	return list
}

func TestVoters(t *testing.T) {
	for _, test := range []struct{ have, want string }{
		{"a+l", "a"},
		{"a+l b+", "ab"},
		{"a+l b~", "a"}, // not caught up
		{"a+l b+v c+", "abc"},
		{"a+l b+v c+v d+", "abc"}, // d stays a satellite
		{"a+l b+v c+v d+ e+", "abcde"},
		{"a+l b+v c+v d+v e+v f+", "abcde"},
		{"a+l b+v c+v d+v e+v f+ g+", "abcdefg"},
		{"a+l b+v c+v d+v e+v f+v g+v h+", "abcdefg"},
		{"a+l b+v c-v", "abc"},           // silent, not confirmed off: it keeps its vote
		{"a+l b+v c.v", "ab"},            // confirmed off
		{"a+l b+v c.v d+", "abd"},        // a satellite takes its place
		{"a+l b+v c+v d+v e.v", "abc"},   // four are left: three vote
		{"b+l a+v c+v d+v e.v", "abc"},   // the leader is among them
		{"d+l a+v b+v c+v e.v", "abd"},   // whoever it is
		{"a+l b+v c+v d-v e.v", "abcd"},  // nobody leaves while one is uncertain
		{"a+l b+v c+v d-v e-v", "abcde"}, //
		{"a+l b+v w+*", "abw"},           // a witness makes an even number odd
		{"a+l b+v c+v w+v*", "abc"},      // and leaves when it is odd
		{"a+l b.v w+v*", "a"},            // {a,b,w}, b off: a alone, in one change
		{"a+l b+v w-v*", "abw"},          // a silent witness is a silent voter
		{"a+l b+v w+v* x+*", "abw"},      // the witness that votes goes on
		{"a+l b+v w.v* x+*", "abx"},      //
		{"w+l* a+", "a"},                 // a witness that leads makes the node a voter
		{"a.v b.v", ""},
		{"a+l b+v c>v", "ab"},            // c is leaving
		{"a+l b>v", "a"},                 //
		{"a+l b>v c-v", "abc"},           // without b, nobody could decide
		{"a>l b+v c-v", "abc"},           // ... whoever leads
		{"a+l b>v c.v", "a"},             // c is confirmed off: now b may go
		{"a+l b>v c-v d+", "acd"},        // a satellite takes its place
		{"a+l b>v c>v d-v e+v", "ade"},   // two of three are heard
		{"a+l b>v c>v d-v e-v", "abcde"}, // both are needed
		{"a+l b>v w+v*", "a"},            // the witness goes with it
		{"a+l b>?v c-v", "abc"},          // what is not heard does not help
		{"a+l b.v c-v", "abc"},           // b is off, c silent: without c, a could decide nothing
		{"a+l b.v c.v", "a"},             //
		{"a-v b>l w+v*", "abw"},          // b has to stay, and with it the witness
		{"a-v b>l w-v*", "abw"},          //
		{"a.v b-v w+l*", "abw"},          // a witness never votes beside one other
	} {
		var got string
		for _, id := range Voters(candidates(test.have)) {
			got += string(rune(id))
		}
		if got != test.want {
			t.Errorf("%s: voters %q, want %q", test.have, got, test.want)
		}
	}
}

// Voting nodes are odd in number but for two, and never fewer than they could be.
func TestVotersOfAllSizes(t *testing.T) {
	for n := 1; n <= 12; n++ {
		var list []Candidate
		for i := range n {
			list = append(list, Candidate{ID: uint64(i + 1), Name: string(rune('a' + i)), Online: true, Heard: true, CaughtUp: true, Voter: i == 0, Leader: i == 0})
		}
		got := Voters(list)
		want := []int{1, 2, 3, 3, 5, 5, 7, 7, 7, 7, 7, 7}[n-1]
		if len(got) != want || !slices.Contains(got, 1) || !slices.IsSorted(got) {
			t.Errorf("%d nodes: voters %v, want %d", n, got, want)
		}
	}
}
