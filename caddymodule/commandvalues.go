package caddymodule

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/pflag"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/registry"
)

// attributeFlags adds the flags for what tenants, environments and plans have alike.
func attributeFlags(fs *pflag.FlagSet) {
	fs.StringArray("quota", nil, `limit as NAME=NUMBER, such as apiRateLimit=600 (requests a minute); "NAME=" removes one; repeatable`)
	fs.StringArray("upstream", nil, `upstream as HOST:PORT, https://HOST or pool:NAME; repeatable, and all of them at once replace what there is`)
	fs.Bool("no-upstreams", false, "remove the upstreams")
}

// metadataFlags adds the flag for metadata.
func metadataFlags(fs *pflag.FlagSet) {
	fs.StringArray("metadata", nil, `fact as KEY=VALUE; "KEY=" removes one; repeatable`)
}

// versionFlag adds the flag that guards against changes by others.
func versionFlag(fs *pflag.FlagSet) {
	fs.Int64("version", 0, "do it only if the record has this version (default: whatever it has)")
}

// creationFlag adds the flag that makes it safe to ask twice.
func creationFlag(fs *pflag.FlagSet) {
	fs.String("idempotency-key", "", "any text; the same command with the same key within 24 hours gives the record that is there")
}

// quotas puts what --quota gives over quotas; nil where it gives nothing.
func (s *session) quotas(have registry.Quotas) (*registry.Quotas, error) {
	if !s.given("quota") {
		return nil, nil
	}
	text, err := json.Marshal(have)
	if err != nil {
		return nil, err
	}
	values := map[string]int64{}
	if err := json.Unmarshal(text, &values); err != nil {
		return nil, err
	}
	for _, q := range s.list("quota") {
		name, value, ok := strings.Cut(q, "=")
		if !ok || name == "" {
			return nil, badFlag("quota", "%q must be like apiRateLimit=600", q)
		}
		if !slices.Contains(quotaNames, name) {
			return nil, badFlag("quota", "there is no quota %q; there are %s", name, strings.Join(quotaNames, ", "))
		}
		if value == "" {
			delete(values, name)
			continue
		}
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < 1 || n > registry.MaxQuota {
			return nil, badFlag("quota", "%s must be a whole number from 1 to %d, or empty for no limit", name, registry.MaxQuota)
		}
		values[name] = n
	}
	if text, err = json.Marshal(values); err != nil {
		return nil, err
	}
	q := new(registry.Quotas)
	return q, json.Unmarshal(text, q)
}

// quotaNames are the members of [registry.Quotas].
var quotaNames = func() []string {
	all := registry.Quotas{
		MaxUsers: 1, MaxStorageBytes: 1, APIRateLimit: 1, Burst: 1, MaxAPICallsPerDay: 1, MaxAPICallsPerMonth: 1,
		MaxConcurrentRequests: 1, MaxObjects: 1, MaxRecordsPerObject: 1, MaxDeploymentsPerDay: 1,
	}
	var members map[string]int64
	text, err := json.Marshal(all)
	if err == nil {
		err = json.Unmarshal(text, &members)
	}
	if err != nil {
		panic(err) // numbers only
	}
	return slices.Sorted(maps.Keys(members))
}()

// upstreams returns what --upstream and --no-upstreams give; nil where they give nothing.
func (s *session) upstreams() ([]string, error) {
	switch list := s.list("upstream"); {
	case s.flag("no-upstreams") && len(list) > 0:
		return nil, usage("--upstream and --no-upstreams exclude each other")
	case s.flag("no-upstreams"):
		return []string{}, nil
	case len(list) > 0:
		return list, nil
	}
	return nil, nil
}

// metadata puts what --metadata gives over metadata; nil where it gives nothing.
func (s *session) metadata(have map[string]string) (map[string]string, error) {
	if !s.given("metadata") {
		return nil, nil
	}
	m := maps.Clone(have)
	if m == nil {
		m = map[string]string{}
	}
	for _, pair := range s.list("metadata") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, badFlag("metadata", "%q must be like KEY=VALUE", pair)
		}
		if value == "" {
			delete(m, key)
			continue
		}
		m[key] = value
	}
	return m, nil
}

// instant reads a flag that is a time; nil where it is not given. "never" is the zero time where that is allowed.
func (s *session) instant(name string, never bool) (*adminapi.Instant, error) {
	text := s.text(name)
	switch {
	case text == "":
		return nil, nil
	case text == "never" && never:
		return &adminapi.Instant{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return &adminapi.Instant{Time: t}, nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return &adminapi.Instant{Time: time.Now().Add(d)}, nil
	}
	return nil, badFlag(name, "%q must be a time such as 2027-01-31 or 2027-01-31T12:00:00Z, or a duration from now such as 720h", text)
}

// past reads a flag that is a time, or a duration ago.
func (s *session) past(name string) (time.Time, error) {
	if d, err := time.ParseDuration(s.text(name)); err == nil && d > 0 {
		return time.Now().Add(-d), nil
	}
	t, err := s.instant(name, false)
	if err != nil || t == nil {
		return time.Time{}, err
	}
	return t.Time, nil
}

// badFlag is a bad value of a flag.
func badFlag(name, format string, args ...any) error {
	return &commandError{exit: exitInvalid, code: registry.CodeInvalid, field: "--" + name, text: "--" + name + ": " + fmt.Sprintf(format, args...)}
}

// quotaText is quotas on one line.
func quotaText(q registry.Quotas) string {
	text, err := json.Marshal(q)
	if err != nil {
		return ""
	}
	var values map[string]int64
	if json.Unmarshal(text, &values) != nil {
		return ""
	}
	parts := make([]string, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		parts = append(parts, name+"="+strconv.FormatInt(values[name], 10))
	}
	return strings.Join(parts, " ")
}

// metadataLine is metadata on one line.
func metadataLine(m map[string]string) string {
	parts := make([]string, 0, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, key+"="+m[key])
	}
	return strings.Join(parts, " ")
}

// upstreamLine is a list of upstreams on one line.
func upstreamLine(list registry.UpstreamList) string {
	parts := make([]string, len(list))
	for i, u := range list {
		parts[i] = u.String()
	}
	return strings.Join(parts, " ")
}

// idText is an id, or nothing.
func idText(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}
