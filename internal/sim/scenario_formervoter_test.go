package sim

import (
	"testing"
	"time"
)

// TestWhatTheVotersOfBeforeCommitted: n1 is fenced by cutting its storage, and its
// removal from the voters is the last that n3 hears. Booted, n1 still votes by what
// its disk says, so n2 commits with it what n3 has not, and only then goes by the new
// voters, n2 and n3. n3 hears that n2 has them, but must not shoot n2 and go on
// without what was committed (rule 6).
func TestWhatTheVotersOfBeforeCommitted(t *testing.T) {
	for _, seed := range []uint64{60001859} {
		for _, b := range Run(seed, Options{Length: 3 * time.Minute}).Breaches {
			t.Errorf("seed %d: %v", seed, b)
		}
	}
}
