package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// warmWorkers ask at once while tenants are warmed.
const warmWorkers = 16

// cachedMemory measures what a cached tenant takes in memory, its quota's state included: the live heap (after
// collections) with many tenants in the cache, less that with one. The collector has its default setting, so that
// the resident memory means something.
func cachedMemory(ctx context.Context, b *bench) error {
	url, err := b.registryOf(ctx, b.Tenants)
	if err != nil {
		return err
	}
	// Room for twice as many, so that no shard of the cache evicts.
	gateway, err := b.caddy(ctx, "gateway", gatewayOptions(url, 2*b.Warm), proxySingle, []string{"GOGC=100"})
	if err != nil {
		return err
	}
	one, all := hostNames{tenantHosts, 1}, hostNames{tenantHosts, b.Warm}
	if err := warm(ctx, gateway.Address, one, 10_000); err != nil {
		return err
	}
	heapBefore, rssBefore, err := memoryOf(ctx, gateway)
	if err != nil {
		return err
	}
	b.progress("warming %d tenants", b.Warm)
	if err := warm(ctx, gateway.Address, all, b.Warm); err != nil {
		return err
	}
	heapAfter, rssAfter, err := memoryOf(ctx, gateway)
	if err != nil {
		return err
	}
	perTenant := float64(heapAfter-heapBefore) / float64(b.Warm)
	b.report.section("Memory", fmt.Sprintf("A gateway with 1 and with %d tenants in its cache, after collections.", b.Warm))
	b.report.table(table{
		Header: []string{"", "1 tenant", fmt.Sprintf("%d tenants", b.Warm), "bytes per tenant"},
		Rows: [][]string{
			{"live heap, MiB", mebibytes(heapBefore), mebibytes(heapAfter), fmt.Sprintf("%.0f", perTenant)},
			{"RSS, MiB", mebibytes(rssBefore), mebibytes(rssAfter), fmt.Sprintf("%.0f", float64(rssAfter-rssBefore)/float64(b.Warm))},
		},
	})
	b.report.budget(fmt.Sprintf("live heap per cached tenant: %.0f bytes, budget at most 1536", perTenant), perTenant <= 1536)
	return nil
}

// mebibytes formats a number of bytes.
func mebibytes(n int64) string { return fmt.Sprintf("%.1f", float64(n)/(1<<20)) }

// warm makes n requests, going through the names in turn; every answer must be 200.
func warm(ctx context.Context, address string, hosts hostNames, n int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: warmWorkers}}
	defer client.CloseIdleConnections()
	var next atomic.Int64
	var workers sync.WaitGroup
	for range warmWorkers {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := ask(ctx, client, address, hosts.name(i%hosts.Count)); err != nil {
					cancel(err)
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

// ask makes a request that must be answered with 200.
func ask(ctx context.Context, client *http.Client, address, host string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return err
	}
	req.Host = host
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read to its end
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("asking for %s: status %d", host, resp.StatusCode)
	}
	return nil
}

// memoryOf returns the live heap and the resident memory, in bytes, after three collections: what stands in a
// sync.Pool goes with the second.
func memoryOf(ctx context.Context, p *process) (heap, rss int64, err error) {
	for range 3 {
		if heap, err = liveHeap(ctx, p.Admin); err != nil {
			return 0, 0, fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	u, err := p.usage()
	return heap, u.RSS, err
}

// liveHeap lets a Caddy collect and returns the heap that is left, in bytes.
func liveHeap(ctx context.Context, admin string) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/debug/pprof/heap?gc=1&debug=1", nil)
	if err != nil {
		return 0, err
	}
	resp, err := probeClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("heap profile: status %d", resp.StatusCode)
	}
	return parseHeap(resp.Body)
}

// parseHeap finds HeapAlloc in a heap profile in text form.
func parseHeap(r io.Reader) (int64, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "# HeapAlloc = "); ok {
			return strconv.ParseInt(text, 10, 64)
		}
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	return 0, fmt.Errorf("heap profile: no HeapAlloc")
}
