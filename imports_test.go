package tenantgate_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tenantgate/tenantgate"

// arrows says which of our packages each of our packages may import, by the first element of its path; "" is the
// root package. It is the layout of the design: arrows point one way, and only the glue knows Caddy.
var arrows = map[string][]string{
	"registry":    nil,
	"quota":       nil,
	"router":      {"registry"},
	"cache":       {"registry"},
	"assertion":   {"registry"},
	"domains":     {"registry"},
	"adminapi":    {"router", "domains", "registry"},
	"wire":        nil,
	"forward":     {"wire"},
	"internal":    nil,
	"caddymodule": {"router", "cache", "quota", "assertion", "domains", "registry", "adminapi", "forward", "wire", "internal"},
	"":            {"caddymodule"},
	"cmd":         {"", "internal"},
	"test":        {"", "registry", "quota", "router", "cache", "assertion", "domains", "adminapi", "forward", "wire", "caddymodule"},
}

// withoutCaddy are the packages that anyone can use in a program that has nothing to do with Caddy.
var withoutCaddy = []string{"registry", "quota", "router", "cache", "assertion", "domains", "adminapi", "forward", "wire", "internal"}

type listedPackage struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// Promise: the imports between our packages are exactly the arrows of the design, and no product code imports test
// code.
func TestImportArrows(t *testing.T) {
	packages := listPackages(t)
	for _, p := range packages {
		from, ours := layer(p.ImportPath)
		if !ours {
			continue
		}
		allowed, known := arrows[from]
		if !known {
			t.Errorf("%s: the design knows no package %q", p.ImportPath, from)
			continue
		}
		for _, imported := range p.Imports {
			to, ours := layer(imported)
			if ours && to != from && !slices.Contains(allowed, to) {
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
		}
		// Tests may also use what test/ offers, but none may turn an arrow round.
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			to, ours := layer(imported)
			if ours && to != from && to != "test" && !slices.Contains(allowed, to) {
				t.Errorf("%s: a test imports %s", p.ImportPath, imported)
			}
		}
	}
}

// Promise: none of withoutCaddy needs Caddy: it is not among their dependencies, however far away.
func TestNoCaddyBelowTheGlue(t *testing.T) {
	packages := listPackages(t)
	for _, name := range withoutCaddy {
		chain := chainTo(packages, module+"/"+name, func(path string) bool {
			return strings.HasPrefix(path, "github.com/caddyserver/")
		})
		if chain != nil {
			t.Errorf("%s depends on Caddy:\n\t%s", name, strings.Join(chain, "\n\timports "))
		}
	}
}

// Promise: the root package registers the modules and nothing else, and the binary is Caddy with the root package, so
// that a build by xcaddy and ours have the same modules.
func TestBinaryIsCaddyWithTheModules(t *testing.T) {
	packages := listPackages(t)
	if got, want := packages[module].Imports, []string{module + "/caddymodule"}; !slices.Equal(got, want) {
		t.Errorf("the root package imports %q, want %q", got, want)
	}
	caddy := 0
	for _, imported := range packages[module+"/cmd/tenantgate"].Imports {
		to, ours := layer(imported)
		switch {
		case imported == module, to == "internal": // settings of the process, which are no modules
		case strings.HasPrefix(imported, "github.com/caddyserver/caddy/v2"):
			caddy++
		case ours || strings.Contains(strings.Split(imported, "/")[0], "."):
			t.Errorf("cmd/tenantgate imports %s: a build by xcaddy would not have it", imported)
		}
	}
	if caddy == 0 || !slices.Contains(packages[module+"/cmd/tenantgate"].Imports, module) {
		t.Error("cmd/tenantgate lacks Caddy or the root package")
	}
}

// layer returns the first element of the path of one of our packages, and whether it is one.
func layer(importPath string) (string, bool) {
	if importPath == module {
		return "", true
	}
	rest, ours := strings.CutPrefix(importPath, module+"/")
	first, _, _ := strings.Cut(rest, "/")
	return first, ours
}

// chainTo returns the shortest chain of imports from a package, or one below its path, to one that matches; nil when
// there is none.
func chainTo(packages map[string]listedPackage, from string, matches func(string) bool) []string {
	reachedFrom := map[string]string{}
	var queue []string
	for path := range packages {
		if path == from || strings.HasPrefix(path, from+"/") {
			reachedFrom[path] = ""
			queue = append(queue, path)
		}
	}
	slices.Sort(queue)
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		if matches(path) {
			var chain []string
			for ; path != ""; path = reachedFrom[path] {
				chain = append(chain, path)
			}
			slices.Reverse(chain)
			return chain
		}
		for _, imported := range packages[path].Imports {
			if _, seen := reachedFrom[imported]; !seen {
				reachedFrom[imported] = path
				queue = append(queue, imported)
			}
		}
	}
	return nil
}

// listPackages asks the go command for all our packages and everything that they depend on.
func listPackages(t *testing.T) map[string]listedPackage {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps",
		"-json=ImportPath,Imports,TestImports,XTestImports", "./...").Output()
	if err != nil {
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	packages := map[string]listedPackage{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listedPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		packages[p.ImportPath] = p
	}
	if len(packages[module].Imports) == 0 {
		t.Fatalf("go list does not show %s", module)
	}
	return packages
}
