package e2e_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/test/harness"
)

// Promise: what README's chapter "better-auth" tells to write is what the tests run.
func TestReadmeBetterAuthSetUp(t *testing.T) {
	readme := harness.ReadFile(t, filepath.Join(harness.RepositoryRoot(t), "README.md"))
	_, chapter, there := strings.Cut(readme, "\n### better-auth\n")
	if !there {
		t.Fatal("README has no chapter better-auth")
	}
	chapter, _, _ = strings.Cut(chapter, "\n## ")
	var blocks []string
	for rest := chapter; ; {
		_, begin, more := strings.Cut(rest, "```caddyfile\n")
		if !more {
			break
		}
		var block string
		block, rest, _ = strings.Cut(begin, "```")
		blocks = append(blocks, oneSpace(block))
	}
	if len(blocks) != 2 {
		t.Fatalf("the chapter has %d blocks of Caddyfile, want 2", len(blocks))
	}
	if blocks[0] != oneSpace(betterAuthSite) {
		t.Errorf("README says\n%s\nand the tests run\n%s", blocks[0], betterAuthSite)
	}
	if !strings.Contains(oneSpace(betterAuthTokenSite), blocks[1]) {
		t.Errorf("README says\n%s\nand the tests run\n%s", blocks[1], betterAuthTokenSite)
	}
}

// oneSpace makes text comparable whatever its indentation.
func oneSpace(text string) string { return strings.Join(strings.Fields(text), " ") }
