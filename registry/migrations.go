package registry

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"sync"
)

// migrationFiles are the steps that make the schema, one file each, named NNNN_what.sql and applied in this order.
// What is released is never changed: another step follows.
//
//go:embed migrations/*.sql
var migrationFiles embed.FS

// migration is one step.
type migration struct {
	version    int
	name       string
	statements []string
}

// migrations returns the steps in order; step n is at index n-1.
var migrations = sync.OnceValue(func() []migration {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql") // sorted
	if err != nil {
		panic(err) // the pattern is a constant
	}
	var list []migration
	for i, path := range names {
		text, err := migrationFiles.ReadFile(path)
		if err != nil {
			panic(err) // embedded
		}
		m := migration{version: i + 1, name: strings.TrimSuffix(path[len("migrations/"):], ".sql"), statements: splitStatements(string(text))}
		if !strings.HasPrefix(m.name, fmt.Sprintf("%04d_", m.version)) {
			panic("migration " + m.name + " is out of order")
		}
		list = append(list, m)
	}
	return list
})

// splitStatements cuts a migration file into statements. A trigger ends with a line that is just "END;", any other
// statement with a line that ends in ";". Comments between statements are left out.
func splitStatements(text string) []string {
	var list []string
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \r\n")
		if b.Len() == 0 && (line == "" || strings.HasPrefix(line, "--")) {
			continue
		}
		b.WriteString(line + "\n")
		end := strings.HasSuffix(line, ";") && !strings.HasPrefix(strings.TrimSpace(line), "--")
		if strings.HasPrefix(b.String(), "CREATE TRIGGER") {
			end = line == "END;"
		}
		if end {
			list = append(list, strings.TrimSuffix(strings.TrimSpace(b.String()), ";"))
			b.Reset()
		}
	}
	if b.Len() > 0 {
		panic("a migration ends within a statement: " + b.String())
	}
	return list
}
