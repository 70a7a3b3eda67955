package caddymodule

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/tenantgate/tenantgate/adminapi"
)

// printable replaces what could move a terminal's cursor or colour it: names are other people's text. Lines stay lines.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}

// cell is a value in a table: one line, and "-" where there is none.
func cell(v any) string {
	if text := line(v); text != "" {
		return text
	}
	return "-"
}

// line is a value as one line of text.
func line(v any) string {
	var text string
	switch v := v.(type) {
	case time.Time:
		if !v.IsZero() {
			text = v.UTC().Format(time.RFC3339)
		}
	case bool:
		text = map[bool]string{true: "yes"}[v]
	default:
		text = fmt.Sprint(v)
	}
	return printable(strings.ReplaceAll(text, "\n", " "))
}

// table writes aligned columns.
type table struct{ w *tabwriter.Writer }

func newTable(out io.Writer) *table {
	return &table{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
}

// row adds a row.
func (t *table) row(values ...any) {
	cells := make([]string, len(values))
	for i, v := range values {
		cells[i] = cell(v)
	}
	_, _ = fmt.Fprintln(t.w, strings.Join(cells, "\t")) // Flush has the error
}

// printJSON writes a value for machines.
func (s *session) printJSON(v any) error {
	enc := json.NewEncoder(s.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// show prints a record: JSON for machines, else pairs of a name and a value for people.
func (s *session) show(v any, pairs func(t *table)) error {
	if s.json {
		return s.printJSON(v)
	}
	t := newTable(s.out)
	pairs(t)
	return t.w.Flush()
}

// say prints what was done: the record for machines, else one line.
func (s *session) say(v any, format string, args ...any) error {
	if s.json {
		return s.printJSON(v)
	}
	_, err := fmt.Fprintln(s.out, printable(fmt.Sprintf(format, args...)))
	return err
}

// done is what a command without a record prints as JSON.
type done struct {
	Done bool `json:"done"`
}

// listing prints pages of records as they come, with bounded memory: as one JSON array, as CSV, or as a table whose
// columns are aligned page by page.
type listing[T any] struct {
	columns []string
	row     func(*T) []any
	page    func(limit int, cursor string) (*adminapi.List[T], error)
}

// print prints at most limit records; 0 for all.
func (l *listing[T]) print(s *session, limit int, asCSV bool) error {
	if limit < 0 {
		return usage("--limit must not be negative")
	}
	if asCSV && s.json {
		return usage("--csv and --json exclude each other")
	}
	p := l.printer(s, asCSV)
	cursor, count := "", 0
	for {
		size := adminapi.MaxPage
		if limit > 0 {
			size = min(size, limit-count)
		}
		list, err := l.page(size, cursor)
		if err != nil {
			return err // what is printed is no valid JSON then, and cannot be taken for the whole list
		}
		if err := p.page(list.Items); err != nil {
			return err
		}
		count += len(list.Items)
		if cursor = list.Next; cursor == "" || count == limit && limit > 0 {
			return p.end()
		}
	}
}

// printer prints the pages of one list.
type printer[T any] struct {
	page func([]T) error
	// end comes after the last page.
	end func() error
}

func (l *listing[T]) printer(s *session, asCSV bool) printer[T] {
	switch {
	case s.json:
		return jsonPrinter[T](s.out)
	case asCSV:
		return l.csvPrinter(s.out)
	}
	first := true
	return printer[T]{page: func(items []T) error {
		t := newTable(s.out)
		if first {
			first = false
			t.row(anys(l.columns)...)
		}
		for i := range items {
			t.row(l.row(&items[i])...)
		}
		return t.w.Flush()
	}, end: func() error { return nil }}
}

// jsonPrinter prints one array, a record on each line.
func jsonPrinter[T any](out io.Writer) printer[T] {
	count := 0
	return printer[T]{page: func(items []T) error {
		for i := range items {
			text, err := json.Marshal(&items[i])
			if err != nil {
				return err
			}
			separator := ",\n"
			if count == 0 {
				separator = "[\n"
			}
			count++
			if _, err := fmt.Fprintf(out, "%s%s", separator, text); err != nil {
				return err
			}
		}
		return nil
	}, end: func() error {
		text := "\n]\n"
		if count == 0 {
			text = "[]\n"
		}
		_, err := io.WriteString(out, text)
		return err
	}}
}

// csvPrinter prints what a spreadsheet reads (RFC 4180), with a header line. A cell that a spreadsheet would take for a
// formula gets an apostrophe in front.
func (l *listing[T]) csvPrinter(out io.Writer) printer[T] {
	w := csv.NewWriter(out)
	w.UseCRLF = true
	first := true
	return printer[T]{page: func(items []T) error {
		if first {
			first = false
			_ = w.Write(l.columns) // Error has it
		}
		for i := range items {
			values := l.row(&items[i])
			cells := make([]string, len(values))
			for j, v := range values {
				if cells[j] = line(v); cells[j] != "" && strings.ContainsRune("=+-@\t", rune(cells[j][0])) {
					cells[j] = "'" + cells[j]
				}
			}
			_ = w.Write(cells) // Error has it
		}
		w.Flush()
		return w.Error()
	}, end: func() error { return nil }}
}

func anys(texts []string) []any {
	list := make([]any, len(texts))
	for i, t := range texts {
		list[i] = t
	}
	return list
}
