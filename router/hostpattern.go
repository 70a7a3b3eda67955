package router

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tenantgate/tenantgate/registry"
)

// The variables of patterns.
const (
	tenantVariable      = "{tenant}"
	environmentVariable = "{environment}"
)

// hostPattern is a compiled subdomain pattern.
type hostPattern struct {
	text           string         // as configured, for messages
	suffix         string         // the literal end, with its leading dot
	labels         []labelPattern // those before it, from left to right
	hasEnvironment bool
	literal        int    // literal bytes in labels
	shape          string // the pattern with each variable as {}: equal shapes fit the same hosts
}

// labelPattern is one label: before, then a variable, then maybe between and a second variable, then after.
type labelPattern struct {
	before, between, after string
	first, second          variable
}

// variable is what stands at a place in a pattern.
type variable uint8

const (
	noVariable variable = iota
	tenantName
	environmentName
)

// hostNames is what a pattern found in a host; its names are not checked yet.
type hostNames struct {
	tenant, environment string
	label               string // the whole label in which the tenant stands
	idna                bool   // a variable stands in an internationalized label
}

// match splits the part of a host before the suffix. It reports false when the pattern does not fit: another number of
// labels, or other literals.
func (p *hostPattern) match(head string) (names hostNames, ok bool) {
	for i := range p.labels {
		label := head
		if i < len(p.labels)-1 {
			dot := strings.IndexByte(head, '.')
			if dot < 0 {
				return names, false
			}
			label, head = head[:dot], head[dot+1:]
		} else if strings.IndexByte(head, '.') >= 0 {
			return names, false
		}
		if !p.labels[i].match(label, &names) {
			return names, false
		}
	}
	return names, true
}

// match takes the variables of one label.
func (l *labelPattern) match(label string, names *hostNames) bool {
	if l.first == noVariable {
		return label == l.before
	}
	if len(label) < len(l.before)+len(l.after) ||
		!strings.HasPrefix(label, l.before) || !strings.HasSuffix(label, l.after) {
		return false
	}
	// "xn--" begins an internationalized label (RFC 5890 §2.3.2.1): its "--" separates nothing.
	if strings.HasPrefix(label, "xn--") {
		names.idna = true
	}
	value, rest := label[len(l.before):len(label)-len(l.after)], ""
	if l.second != noVariable {
		i := strings.Index(value, l.between)
		if i < 0 {
			return false
		}
		value, rest = value[:i], value[i+len(l.between):]
	}
	names.set(l.first, value, label)
	names.set(l.second, rest, label)
	return true
}

// set stores the value of a variable.
func (n *hostNames) set(v variable, value, label string) {
	switch v {
	case tenantName:
		n.tenant, n.label = value, label
	case environmentName:
		n.environment = value
	case noVariable:
	}
}

// parseHostPattern compiles a subdomain pattern.
func parseHostPattern(text string) (hostPattern, error) {
	p := hostPattern{text: text}
	if len(text) > maxRawHost {
		return p, errHostLong
	}
	if err := checkVariables(text); err != nil {
		return p, err
	}
	labels := strings.Split(text, ".")
	last := len(labels) - 1
	for last >= 0 && !strings.Contains(labels[last], "{") {
		last--
	}
	if last == len(labels)-1 {
		return p, errors.New("ends with a variable; a base domain has to follow, as in {tenant}.app.example.com")
	}
	base, err := patternLiteral(strings.Join(labels[last+1:], "."))
	if err != nil {
		return p, err
	}
	p.suffix = "." + base
	var shape strings.Builder
	for _, label := range labels[:last+1] {
		l, err := parseLabelPattern(label)
		if err != nil {
			return p, err
		}
		p.labels = append(p.labels, l)
		p.literal += len(l.before) + len(l.between) + len(l.after)
		p.hasEnvironment = p.hasEnvironment || l.first == environmentName || l.second == environmentName
		shape.WriteString(l.shape())
		shape.WriteByte('.')
	}
	p.shape = shape.String() + base
	if len(p.shape) > registry.MaxHostLength {
		return p, errHostLong
	}
	return p, nil
}

// checkVariables checks the braces of a pattern: only the two variables, the tenant once, the environment at most once.
func checkVariables(text string) error {
	switch n := strings.Count(text, tenantVariable); {
	case n == 0:
		return errors.New("has no {tenant}")
	case n > 1:
		return errors.New("has {tenant} more than once")
	}
	if strings.Count(text, environmentVariable) > 1 {
		return errors.New("has {environment} more than once")
	}
	rest := strings.NewReplacer(tenantVariable, "", environmentVariable, "").Replace(text)
	if strings.ContainsAny(rest, "{}") {
		return errors.New("has braces other than those of {tenant} and {environment}")
	}
	return nil
}

// parseLabelPattern compiles one label of a pattern.
func parseLabelPattern(label string) (labelPattern, error) {
	var l labelPattern
	rest, err := l.cut(label, &l.before, &l.first)
	if err != nil {
		return l, err
	}
	if l.first == noVariable {
		l.before, err = patternLiteral(l.before)
		return l, err
	}
	var text string
	if rest, err = l.cut(rest, &text, &l.second); err != nil {
		return l, err
	}
	if l.second == noVariable {
		l.after = text
	} else {
		l.between, l.after = text, rest
		if l.between == "" {
			return l, errors.New("has two variables without anything between them")
		}
		if !strings.Contains(l.between, "--") {
			return l, fmt.Errorf("has %q between two variables, which names can contain, too; use \"--\"", l.between)
		}
	}
	l.before, l.between, l.after = lowerASCII(l.before), lowerASCII(l.between), lowerASCII(l.after)
	if strings.HasPrefix(l.before, "xn--") {
		return l, errors.New("has a variable in an internationalized label")
	}
	if len(l.shape()) > registry.MaxSlugLength {
		return l, errHostLabel
	}
	// With letters for the variables it has to be a host name.
	if _, err := patternLiteral(strings.NewReplacer("{", "x", "}", "x").Replace(l.shape())); err != nil {
		return l, err
	}
	return l, nil
}

// cut stores what comes before the next variable and the variable, and returns what follows.
func (*labelPattern) cut(s string, literal *string, v *variable) (rest string, err error) {
	i := strings.IndexByte(s, '{')
	if i < 0 {
		*literal = s
		return "", nil
	}
	*literal = s[:i]
	if rest, ok := strings.CutPrefix(s[i:], tenantVariable); ok {
		*v = tenantName
		return rest, nil
	}
	if rest, ok := strings.CutPrefix(s[i:], environmentVariable); ok {
		*v = environmentName
		return rest, nil
	}
	return "", errors.New("has braces other than those of {tenant} and {environment}")
}

// shape returns the label with each variable as {}.
func (l *labelPattern) shape() string {
	switch {
	case l.first == noVariable:
		return l.before
	case l.second == noVariable:
		return l.before + "{}" + l.after
	}
	return l.before + "{}" + l.between + "{}" + l.after
}

// patternLiteral normalises the literal part of a pattern, which has to be a host name without port.
func patternLiteral(s string) (string, error) {
	switch {
	case strings.Contains(s, "*"):
		return "", errors.New("has a wildcard; a variable already stands for any name")
	case strings.Contains(s, ":"):
		return "", errors.New("has a port; patterns fit any port")
	}
	host, err := NormalizeHost(s)
	if err != nil {
		return "", err
	}
	if host[0] == '[' || endsInNumber(host) {
		return "", errors.New("has an IP address for a base domain")
	}
	return host, nil
}
