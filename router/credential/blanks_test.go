package credential

import (
	"strings"
	"testing"
)

// Promise: what is trimmed is blanks and tabs at both ends and nothing else, as strings.Trim does it: of every text of up to
// six of these characters.
func TestTrimBlanks(t *testing.T) {
	var check func(s string, more int)
	check = func(s string, more int) {
		if got, want := trimBlanks(s), strings.Trim(s, " \t"); got != want {
			t.Errorf("%q becomes %q, not %q", s, got, want)
		}
		if more > 0 {
			for _, c := range []string{" ", "\t", "a", "\n", "\u00a0"} {
				check(s+c, more-1)
			}
		}
	}
	check("", 6)
}
