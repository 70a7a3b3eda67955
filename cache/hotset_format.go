package cache

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

// The hot set is a text file of JSON lines: a header, one record for each snapshot with the references that lead to it
// (the most recently used first), and a trailer with the CRC-32C of all bytes before it.
const (
	hotSetMagic   = "tenantgate hot set"
	hotSetVersion = 1

	hotSetMaxLine = 1 << 20 // bytes; a longer record is not written
	hotSetMaxFile = 1 << 31 // bytes
	hotSetMaxRefs = 64      // of one record; more go to another record
	hotSetMaxKey  = 1 << 10 // bytes
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// hotSetHeader is the first line.
type hotSetHeader struct {
	Magic   string `json:"format"`
	Version int    `json:"version"`
	// Shape is that of registry.Resolved. A file of another shape is not read: a field that this binary heeds and the
	// writer did not know (a demand for a second factor, say) would come back as not demanded.
	Shape string `json:"shape"`
	// Registry and Position say up to which change of which registry the records are current.
	Registry uuid.UUID `json:"registry"`
	Position int64     `json:"position"`
	Saved    time.Time `json:"saved"`
}

// hotSetRecord is a snapshot with its references.
type hotSetRecord struct {
	References []hotSetReference  `json:"references"`
	Resolved   *registry.Resolved `json:"resolved"`
}

type hotSetReference struct {
	Kind        string `json:"kind"`
	Key         string `json:"key"`
	Environment string `json:"environment,omitempty"`
	// Fresh is when the TTL ends or ended, in seconds since the Unix epoch.
	Fresh int64 `json:"fresh"`
}

// hotSetTrailer is the last line.
type hotSetTrailer struct {
	Records int    `json:"records"`
	CRC     string `json:"crc32c"`
}

// hotSetShape describes the fields of registry.Resolved, all the way down, as a short text.
var hotSetShape = func() string {
	var b strings.Builder
	describe(&b, reflect.TypeFor[registry.Resolved]())
	return fmt.Sprintf("%08x", crc32.Checksum([]byte(b.String()), castagnoli))
}()

func describe(b *strings.Builder, t reflect.Type) {
	b.WriteString(t.Kind().String())
	switch t.Kind() {
	case reflect.Struct:
		b.WriteByte('{')
		for f := range t.Fields() {
			if f.IsExported() {
				fmt.Fprintf(b, "%s %q ", f.Name, f.Tag)
				describe(b, f.Type)
				b.WriteByte(';')
			}
		}
		b.WriteByte('}')
	case reflect.Map:
		b.WriteByte('[')
		describe(b, t.Key())
		b.WriteByte(']')
		describe(b, t.Elem())
	case reflect.Pointer, reflect.Slice, reflect.Array:
		b.WriteByte(' ')
		describe(b, t.Elem())
	}
}

// hotSetWriter writes the lines of a hot set.
type hotSetWriter struct {
	w       io.Writer
	crc     hash.Hash32
	written int64
	records int
}

func newHotSetWriter(w io.Writer, header hotSetHeader) (*hotSetWriter, error) {
	header.Magic, header.Version, header.Shape = hotSetMagic, hotSetVersion, hotSetShape
	h := &hotSetWriter{w: w, crc: crc32.New(castagnoli)}
	_, err := h.line(header)
	return h, err
}

// line writes v as one line, unless that is longer than a reader takes.
func (h *hotSetWriter) line(v any) (ok bool, err error) {
	b, err := json.Marshal(v)
	if err != nil {
		return false, err
	}
	b = append(b, '\n')
	if len(b) > hotSetMaxLine || h.written+int64(len(b)) > hotSetMaxFile-hotSetMaxLine {
		return false, nil
	}
	h.crc.Write(b)
	h.written += int64(len(b))
	_, err = h.w.Write(b)
	return true, err
}

func (h *hotSetWriter) record(r *hotSetRecord) error {
	ok, err := h.line(r)
	if ok {
		h.records++
	}
	return err
}

func (h *hotSetWriter) close() error {
	_, err := h.line(hotSetTrailer{Records: h.records, CRC: fmt.Sprintf("%08x", h.crc.Sum32())})
	return err
}

// readHotSet reads a whole hot set and returns its header and as many of its entries, in the file's order, as limit
// allows. A file that is not complete, not intact or not of this version is an error, and none of it is returned. The
// entries' freshness is that of the file.
func readHotSet(r io.Reader, limit int) (hotSetHeader, []*entry, error) {
	lines := bufio.NewScanner(io.LimitReader(r, hotSetMaxFile))
	lines.Buffer(make([]byte, 0, 64<<10), hotSetMaxLine)
	lines.Split(wholeLines)

	var header hotSetHeader
	if !lines.Scan() {
		return header, nil, orError(lines.Err(), "it is empty")
	}
	if err := header.parse(lines.Bytes()); err != nil {
		return header, nil, err
	}
	crc := crc32.New(castagnoli)
	crc.Write(lines.Bytes())
	var entries []*entry
	records := 0
	for lines.Scan() {
		line := lines.Bytes()
		if bytes.HasPrefix(line, []byte(`{"records":`)) {
			if err := checkTrailer(line, records, crc.Sum32(), lines); err != nil {
				return header, nil, err
			}
			return header, entries, nil
		}
		crc.Write(line)
		records++
		if len(entries) >= limit {
			continue // read on for the checksum
		}
		list, err := parseRecord(line)
		if err != nil {
			return header, nil, fmt.Errorf("record %d: %w", records, err)
		}
		entries = append(entries, list[:min(len(list), limit-len(entries))]...)
	}
	return header, nil, orError(lines.Err(), "it ends too early")
}

// wholeLines is a bufio.SplitFunc for lines that end with a newline, which they keep.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i+1], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, errors.New("it ends within a line")
	}
	return 0, nil, nil
}

func orError(err error, text string) error {
	if err != nil {
		return err
	}
	return errors.New(text)
}

// parse reads the header and checks that this binary understands what follows.
func (h *hotSetHeader) parse(line []byte) error {
	if err := json.Unmarshal(line, h); err != nil || h.Magic != hotSetMagic {
		return errors.New("it is not a hot set of Tenantgate")
	}
	if h.Version != hotSetVersion || h.Shape != hotSetShape {
		return fmt.Errorf("it was written by another version of Tenantgate (format %d/%s, not %d/%s)",
			h.Version, h.Shape, hotSetVersion, hotSetShape)
	}
	if h.Position < 0 {
		return errors.New("its position in the change log is negative")
	}
	return nil
}

// checkTrailer checks the last line against what was read before it.
func checkTrailer(line []byte, records int, crc uint32, lines *bufio.Scanner) error {
	var t hotSetTrailer
	if err := json.Unmarshal(line, &t); err != nil {
		return fmt.Errorf("trailer: %w", err)
	}
	if t.Records != records || t.CRC != fmt.Sprintf("%08x", crc) {
		return errors.New("its checksum does not match")
	}
	if lines.Scan() || lines.Err() != nil {
		return errors.New("it goes on after its end")
	}
	return nil
}

// parseRecord reads the entries of one record, which share its snapshot.
func parseRecord(line []byte) ([]*entry, error) {
	var r hotSetRecord
	if err := json.Unmarshal(line, &r); err != nil {
		return nil, err
	}
	if r.Resolved != nil {
		r.Resolved.Seal()
	}
	list := make([]*entry, 0, len(r.References))
	for _, hr := range r.References {
		ref := registry.Reference{Kind: kindOf(hr.Kind), Key: hr.Key, Environment: hr.Environment}
		switch {
		case ref.Kind == registry.KindNone || ref.Key == "" || len(ref.Key) > hotSetMaxKey || len(ref.Environment) > hotSetMaxKey:
			return nil, errors.New("a reference is not valid")
		case !fits(ref, r.Resolved):
			return nil, errNonsense
		}
		fresh := max(0, min(hr.Fresh, maxUnix)) * int64(time.Second)
		list = append(list, newEntry(ref, r.Resolved, nil, fresh, fresh))
	}
	return list, nil
}

// maxUnix keeps times in nanoseconds within 64 bits: it is in the year 2116.
const maxUnix = 146 * 365 * 24 * 3600

// kindOf is the inverse of registry.Kind.String for what may be on disk; KindNone for anything else.
func kindOf(name string) registry.Kind {
	for k := registry.KindTenantID; k <= registry.KindMember; k++ {
		if k.String() == name {
			return k
		}
	}
	return registry.KindNone
}
