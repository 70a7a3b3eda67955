package registry

import (
	"bytes"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// usageGroup is what one statement reads or writes: accounts of a day, as text for json_each. An account is one string without
// separators, so that SQL has nothing to parse: the tenant's id and, if there is one, the environment's. Nearly all that gateways
// count is of this form. In the other form, for API keys and for limits on routes, all three ids, nil where there is none,
// and the metric stand one after the other.
type usageGroup struct {
	day  time.Time
	full bool
	// text is the object or array, without its last character.
	text []byte
	// places are those of the accounts in the call.
	places []int
}

// usageColumns are what an account's string (%s) holds: organization_id, environment_id, api_key_id, metric.
type usageColumns [4]string

var (
	usagePlain = usageColumns{`substr(%s, 1, 36)`, `substr(%s, 37)`, `''`, `'` + MetricRequests + `'`}
	usageFull  = usageColumns{
		`substr(%s, 1, 36)`, `replace(substr(%s, 37, 36), '` + nilID + `', '')`, `replace(substr(%s, 73, 36), '` + nilID + `', '')`, `substr(%s, 109)`,
	}
)

const nilID = "00000000-0000-0000-0000-000000000000"

// of returns a statement with the columns put in for $1 to $4, as parts of an account's string.
func (c *usageColumns) of(account, statement string) string {
	var pairs []string
	for i, column := range c {
		pairs = append(pairs, "$"+strconv.Itoa(i+1), strings.ReplaceAll(column, "%s", account))
	}
	return strings.NewReplacer(pairs...).Replace(statement)
}

// usageGroups are those of one call.
type usageGroups []*usageGroup

// of returns the group of an account; more says how many accounts may follow, itself included.
func (l *usageGroups) of(a *UsageAccount, more int) (*usageGroup, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	day, full := startOfDay(a.Day), a.APIKey != uuid.Nil || a.Metric != "" && a.Metric != MetricRequests
	for _, g := range *l {
		if g.full == full && g.day.Equal(day) {
			return g, nil
		}
	}
	g := &usageGroup{day: day, full: full, text: make([]byte, 0, more*usageElement)}
	*l = append(*l, g)
	return g, nil
}

// usageElement is about how many bytes an account takes: ids of a tenant and an environment, a count.
const usageElement = 2*36 + 8

// addRecord adds a member to an object: the account, and what was counted.
func (g *usageGroup) addRecord(r *UsageRecord) {
	g.open('{')
	g.appendIDs(&r.UsageAccount)
	g.text = append(g.text, ':')
	g.text = strconv.AppendInt(g.text, r.Used, 10)
}

// addAccount adds an element to an array: the account, which has a place in the call.
func (g *usageGroup) addAccount(a *UsageAccount, place int) {
	g.open('[')
	g.appendIDs(a)
	g.places = append(g.places, place)
}

func (g *usageGroup) open(first byte) {
	if len(g.text) > 0 {
		first = ','
	}
	g.text = append(g.text, first)
}

func (g *usageGroup) appendIDs(a *UsageAccount) {
	g.text = append(g.text, '"')
	g.text = appendID(g.text, a.Tenant)
	if g.full || a.Environment != uuid.Nil {
		g.text = appendID(g.text, a.Environment)
	}
	if g.full {
		g.text = appendID(g.text, a.APIKey)
		metric := mustJSON(a.metric())
		g.text = append(g.text, metric[1:len(metric)-1]...) // without its quotes
	}
	g.text = append(g.text, '"')
}

// object and array return the text.
func (g *usageGroup) object() string { return string(append(g.text, '}')) }
func (g *usageGroup) array() string  { return string(append(g.text, ']')) }

// appendID appends an id as the registry writes it (RFC 9562, lower case).
func appendID(b []byte, id uuid.UUID) []byte {
	b = hex.AppendEncode(b, id[:4])
	for _, at := range [...]int{4, 6, 8} {
		b = append(b, '-')
		b = hex.AppendEncode(b, id[at:at+2])
	}
	b = append(b, '-')
	return hex.AppendEncode(b, id[10:])
}

// parseTotals reads the three sums of an account, separated by blanks.
func parseTotals(text []byte) (t UsageTotals, ok bool) {
	for i, sum := range [...]*int64{&t.Own, &t.Others, &t.Rest} {
		field, rest, more := bytes.Cut(text, []byte(" "))
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil || more != (i < 2) {
			return UsageTotals{}, false
		}
		*sum, text = n, rest
	}
	return t, true
}
