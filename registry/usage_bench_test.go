package registry

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
)

// usageTenants makes so many tenants by plain SQL, with an environment each, and returns their ids in pairs.
func usageTenants(b *testing.B, s *Store, n int) [][2]uuid.UUID {
	b.Helper()
	run(b, s, `INSERT INTO sys_guard (flag) VALUES ('quiet')`)
	list := make([][2]uuid.UUID, n)
	for from := 0; from < n; from += 5000 {
		var rows []any
		for i := from; i < min(from+5000, n); i++ {
			list[i] = [2]uuid.UUID{NewID(), NewID()}
			rows = append(rows, []any{list[i][0].String(), fmt.Sprint("t", i), list[i][1].String()})
		}
		text := mustJSON(rows)
		run(b, s, `INSERT INTO sys_organization (id, slug, name) SELECT value->>0, value->>1, 'n' FROM json_each(?1)`, text)
		run(b, s, `INSERT INTO sys_environment (id, organization_id, slug, name, is_default) SELECT value->>2, value->>0, 'production', 'p', 1 FROM json_each(?1)`, text)
	}
	run(b, s, `DELETE FROM sys_guard`)
	return list
}

// usageRecords are the two records of each of n tenants that were picked at random: the tenant as a whole and its
// environment, in the order in which gateways write them.
func usageRecords(tenants [][2]uuid.UUID, n int, used map[uuid.UUID]int64) []UsageRecord {
	list := make([]UsageRecord, 0, 2*n)
	picked := rand.Perm(len(tenants))[:n]
	slices.Sort(picked)
	for _, i := range picked {
		tenant, environment := tenants[i][0], tenants[i][1]
		was := used[tenant]
		used[tenant] = was + 1
		list = append(list,
			UsageRecord{UsageAccount{Tenant: tenant, Day: leapDay}, was + 1, was},
			UsageRecord{UsageAccount{Tenant: tenant, Environment: environment, Day: leapDay}, was + 1, was})
	}
	return list
}

// benchNode is the name of a gateway.
const benchNode = "0190a000-0000-7000-8000-00000000ffff"

// BenchmarkUsage is a flush of 15,000 of 100,000 tenants (TENANTGATE_USAGE_TENANTS), two records each, and a read of as many.
// The time is given by record.
func BenchmarkUsage(b *testing.B) {
	n := number(b, "TENANTGATE_USAGE_TENANTS", 100_000)
	for _, backend := range backends()[:2] {
		if only := os.Getenv("TENANTGATE_LARGE_BACKEND"); only != "" && only != backend.name {
			continue
		}
		b.Run(backend.name, func(b *testing.B) {
			s := migrated(b, backend.open(b))
			tenants, used := usageTenants(b, s, n), map[uuid.UUID]int64{}
			flush := func(records []UsageRecord) {
				for chunk := range slices.Chunk(records, 500) {
					if err := s.SaveUsage(b.Context(), benchNode, chunk); err != nil {
						b.Fatal(err)
					}
				}
			}
			begin := time.Now()
			flush(usageRecords(tenants, n, used)) // every row is there
			b.Logf("%d new records: %.1f µs each", 2*n, float64(time.Since(begin).Microseconds())/float64(2*n))
			const some = 15_000
			b.Run("save", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					b.StopTimer()
					records := usageRecords(tenants, some, used)
					b.StartTimer()
					flush(records)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*2*some), "ns/record")
			})
			b.Run("load", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					b.StopTimer()
					records := usageRecords(tenants, some, used)
					b.StartTimer()
					for chunk := range slices.Chunk(records, 500) {
						accounts := make([]UsageAccount, 0, len(chunk))
						for i := range chunk {
							accounts = append(accounts, chunk[i].UsageAccount)
						}
						if _, err := s.LoadUsage(b.Context(), benchNode, accounts); err != nil {
							b.Fatal(err)
						}
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*2*some), "ns/record")
			})
		})
	}
}
