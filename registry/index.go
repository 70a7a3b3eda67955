package registry

import (
	"fmt"
	"hash/maphash"
	"math"

	"github.com/google/uuid"
)

// position is where in a document something stands.
type position struct {
	line                      uint32
	tenant, environment, item int32
}

// fileIndex knows what of a document has to be unique in it. It takes about 50 bytes for each slug, id and domain,
// whatever their length: they are kept as 128-bit hashes with keys of this process, so that nobody can make two of
// them meet.
type fileIndex struct {
	seeds        [2]maphash.Seed
	plans        map[string]position
	slugs        map[[16]byte]position
	tenantIDs    map[uuid.UUID]position
	environments map[uuid.UUID]position
	domains      map[[16]byte]position
	// named are the plans that tenants name.
	named map[string]struct{}

	planCount, tenantCount, environmentCount int64
}

func newFileIndex() *fileIndex {
	return &fileIndex{
		seeds:        [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		plans:        map[string]position{},
		slugs:        map[[16]byte]position{},
		tenantIDs:    map[uuid.UUID]position{},
		environments: map[uuid.UUID]position{},
		domains:      map[[16]byte]position{},
		named:        map[string]struct{}{},
	}
}

func (x *fileIndex) hash(s string) (h [16]byte) {
	a, b := maphash.String(x.seeds[0], s), maphash.String(x.seeds[1], s)
	for i := range 8 {
		h[i], h[8+i] = byte(a>>(8*i)), byte(b>>(8*i))
	}
	return h
}

// claim notes where a value stands, and returns an error when it stood elsewhere before. place renders a position.
func claim[K comparable](m map[K]position, key K, at position, value string, place func(position) string) error {
	before, taken := m[key]
	if !taken {
		m[key] = at
		return nil
	}
	return fmt.Errorf("%s is also at %s%s", quoted(value), place(before), lineText(before.line))
}

func lineText(line uint32) string {
	if line == 0 {
		return ""
	}
	return fmt.Sprintf(" (line %d)", line)
}

func placePlan(p position) string     { return fmt.Sprintf("plans[%d].name", p.item) }
func placeSlug(p position) string     { return fmt.Sprintf("tenants[%d].slug", p.tenant) }
func placeTenantID(p position) string { return fmt.Sprintf("tenants[%d].id", p.tenant) }
func placeEnvironment(p position) string {
	return fmt.Sprintf("tenants[%d].environments[%d].id", p.tenant, p.environment)
}

func placeDomain(p position) string {
	return fmt.Sprintf("tenants[%d].environments[%d].domains[%d]", p.tenant, p.environment, p.item)
}

// namePlan notes that a tenant names a plan; of more than maxPlans, some are not noted.
func (x *fileIndex) namePlan(name string) {
	if len(x.named) < maxPlans {
		x.named[name] = struct{}{}
	}
}

// namesTenant reports whether the document has a tenant with an id.
func (x *fileIndex) namesTenant(id string) bool {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return false
	}
	_, ok := x.tenantIDs[parsed]
	return ok
}

// line32 fits a line number into a position.
func line32(line int) uint32 { return uint32(min(line, math.MaxUint32)) }
