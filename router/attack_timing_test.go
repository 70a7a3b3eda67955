package router

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// secretName is how variables are called that hold what a client must not learn byte by byte.
var secretName = regexp.MustCompile(`(?i)(hash|sum|mac|signature|secret|stored|digest)$`)

// notSecret are comparisons of a configuration with what everybody knows.
var notSecret = []string{"secret == defaultSecret"}

// Promise: what a client sends is compared with a secret in constant time, or not at all. How long a comparison takes
// cannot be tested without luck, so this looks at the code: sessions and API keys are compared by hmac.Equal and
// subtle.ConstantTimeCompare, and nothing that is named like a secret by ==, bytes.Equal or strings.Compare.
func TestAttackTiming(t *testing.T) {
	files, err := filepath.Glob("credential/*.go")
	if err != nil {
		t.Fatal(err)
	}
	domains, err := filepath.Glob("../domains/*.go")
	if err != nil {
		t.Fatal(err)
	}
	files = append(append(files, domains...), "../registry/credential.go", "../registry/sessiontable.go", "session.go", "apikey.go", "prove.go")
	constant := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(gotoken.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BinaryExpr:
				if (n.Op == gotoken.EQL || n.Op == gotoken.NEQ) && isSecret(n.X) && isSecret(n.Y) {
					text := n.X.(*ast.Ident).Name + " " + n.Op.String() + " " + n.Y.(*ast.Ident).Name
					if !slices.Contains(notSecret, text) {
						t.Errorf("%s compares %s", file, text)
					}
				}
			case *ast.CallExpr:
				switch name := called(n); name {
				case "hmac.Equal", "subtle.ConstantTimeCompare":
					constant[file] = true
				case "bytes.Equal", "bytes.Compare", "strings.Compare", "strings.EqualFold", "reflect.DeepEqual":
					if slices.ContainsFunc(n.Args, isSecret) {
						t.Errorf("%s compares a secret by %s", file, name)
					}
				}
			}
			return true
		})
	}
	for _, file := range []string{"credential/session.go", "credential/apikey.go", "../registry/credential.go"} {
		if !constant[file] {
			t.Errorf("%s compares nothing in constant time", file)
		}
	}
}

// isSecret reports whether the expression is a variable that is named like a secret.
func isSecret(e ast.Expr) bool {
	id, ok := e.(*ast.Ident)
	return ok && secretName.MatchString(id.Name)
}

// called returns the name of a function of another package, "" for others.
func called(call *ast.CallExpr) string {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	pkg, ok := selector.X.(*ast.Ident)
	if !ok {
		return ""
	}
	return pkg.Name + "." + selector.Sel.Name
}
