package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tursodatabase/libsql-client-go/libsql"
)

// tables of the registry whose rows are counted.
var tables = []string{
	"sys_organization", "sys_environment", "sys_domain", "sys_api_key", "sys_session", "sys_usage", "sys_change", "sys_audit_log",
	"sys_organization_alias",
}

// samples are what was measured during a run.
type samples struct {
	system *system
	began  time.Time
	db     *sql.DB
	// gateways has a series for each gateway and each of [measures].
	gateways [][]*series
	// shared are measures of what the gateways share, by name.
	shared map[string]*series
	// missed counts samples that could not be taken, because what they are of was away.
	missed int
	// errs are those that had no such reason.
	errs []error
}

func newSamples(s *system, began time.Time) (*samples, error) {
	connector, err := libsql.NewConnector(s.url)
	if err != nil {
		return nil, err
	}
	m := &samples{system: s, began: began, db: sql.OpenDB(connector), shared: map[string]*series{}}
	// sqld forgets a stream that was idle for 10 s.
	m.db.SetMaxIdleConns(0)
	for range s.gateways {
		list := make([]*series, len(measures))
		for i := range list {
			list[i] = &series{}
		}
		m.gateways = append(m.gateways, list)
	}
	return m, nil
}

// take measures everything once. The live heap is measured when it is asked for: that costs a collection.
func (m *samples) take(ctx context.Context, heap bool) {
	bounded, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	began := time.Now()
	for i, g := range m.system.gateways {
		if err := m.gateway(bounded, g, m.gateways[i], heap); err != nil {
			m.miss(ctx, began, err, &g.down, &g.reloads)
		}
	}
	if err := m.redis(); err != nil {
		m.miss(ctx, began, err, &m.system.redisDown)
	}
	if err := m.registry(bounded); err != nil {
		m.miss(ctx, began, err, &m.system.registryDown)
	}
}

// miss counts a sample that could not be taken since a time. Where what it is of was away, that is as it should be.
func (m *samples) miss(ctx context.Context, since time.Time, err error, away ...*spans) {
	if ctx.Err() != nil {
		return // the run is over
	}
	m.missed++
	for _, s := range away {
		if s.touch(since, time.Now(), 2*time.Second) {
			return
		}
	}
	if len(m.errs) < 20 && !m.system.stalled(since, time.Now()) {
		m.errs = append(m.errs, err)
	}
}

// gateway measures one gateway.
func (m *samples) gateway(ctx context.Context, g *gateway, list []*series, heap bool) error {
	pid := strconv.FormatInt(g.pid.Load(), 10)
	text, err := os.ReadFile(filepath.Join("/proc", pid, "statm"))
	if err != nil {
		return err
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return fmt.Errorf("statm of gateway %d: %q", g.number+1, text)
	}
	pages, err := strconv.ParseFloat(fields[1], 64)
	if err != nil {
		return err
	}
	held, err := g.holds(ctx)
	if err != nil {
		return err
	}
	cached, err := g.admin.Cache(ctx)
	if err != nil {
		return err
	}
	at := time.Since(m.began)
	list[0].add(at, pages*float64(os.Getpagesize())/(1<<20))
	list[2].add(at, held.goroutines)
	list[3].add(at, held.descriptors)
	list[4].add(at, float64(cached.Entries))
	list[5].add(at, float64(cached.NegativeEntries))
	if !heap {
		return nil
	}
	live, err := g.liveHeap(ctx)
	if err != nil {
		return err
	}
	list[1].add(at, live/(1<<20))
	return nil
}

// liveHeap returns what a collection leaves of the heap, in bytes, and so makes one.
func (g *gateway) liveHeap(ctx context.Context) (float64, error) {
	if _, err := get(ctx, "http://"+g.api+"/debug/pprof/heap?gc=1"); err != nil {
		return 0, err
	}
	metrics, err := get(ctx, "http://"+g.api+"/metrics")
	if err != nil {
		return 0, err
	}
	return metric(metrics, "go_memstats_heap_alloc_bytes")
}

func (m *samples) share(name string, value float64) {
	if m.shared[name] == nil {
		m.shared[name] = &series{}
	}
	m.shared[name].add(time.Since(m.began), value)
}

// redis measures what the gateways keep in Redis.
func (m *samples) redis() error {
	if m.system.redisDown.touch(time.Now(), time.Now().Add(time.Millisecond), time.Second) {
		return errors.New("redis is away")
	}
	answer, err := m.system.redis.Do("DBSIZE")
	if err != nil {
		return err
	}
	keys, err := answer.AsInt64()
	if err != nil {
		return err
	}
	if answer, err = m.system.redis.Do("INFO", "memory"); err != nil {
		return err
	}
	info, err := answer.ToString()
	if err != nil {
		return err
	}
	used, err := metric([]byte(strings.ReplaceAll(info, "used_memory:", "used_memory ")), "used_memory")
	if err != nil {
		return err
	}
	m.share("Redis: keys", float64(keys))
	m.share("Redis: memory, KiB", used/1024)
	return nil
}

// registry counts the rows of the registry's tables, and its bytes on disk.
func (m *samples) registry(ctx context.Context) error {
	for _, table := range tables {
		var n float64
		if err := m.db.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&n); err != nil { //nolint:gosec // names of our own
			return fmt.Errorf("%s: %w", table, err)
		}
		m.share(table+", rows", n)
	}
	size := int64(0)
	err := filepath.Walk(filepath.Join(m.system.dir, "registry"), func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			size += info.Size()
		}
		return nil // a file may have gone
	})
	m.share("registry's files, MiB", float64(size)/(1<<20))
	return err
}

// get reads a page of at most 16 MiB.
func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: status %s", url, resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, 16<<20))
}

// metric reads the number behind a name at the beginning of a line.
func metric(page []byte, name string) (float64, error) {
	lines := bufio.NewScanner(bytes.NewReader(page))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(rest), 64)
		}
	}
	return 0, fmt.Errorf("%s is not there", name)
}
