package registry

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
)

const (
	// maxShared bounds the strings, the lists of upstreams, the quotas and the metadata that snapshots share: names of plans, regions and
	// environments are few. Beyond it each snapshot has its own.
	maxShared = 4096
	// maxSharedLength is the longest string that is worth sharing, in bytes.
	maxSharedLength = 64
)

// parsedValues holds one copy of the values that many tenants have in common, so that a cached tenant stays small. The
// zero value is ready to use.
type parsedValues struct {
	mu    sync.RWMutex
	text  map[string]string
	lists map[string][]Upstream
	few   map[Quotas]*Quotas
	maps  map[string]map[string]string
}

// shared returns a string equal to s that others hold too.
func (p *parsedValues) shared(s string) string {
	if s == "" || len(s) > maxSharedLength {
		return s
	}
	p.mu.RLock()
	one, ok := p.text[s]
	p.mu.RUnlock()
	if ok {
		return one
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if one, ok := p.text[s]; ok {
		return one
	}
	if len(p.text) >= maxShared {
		return s
	}
	if p.text == nil {
		p.text = map[string]string{}
	}
	s = strings.Clone(s)
	p.text[s] = s
	return s
}

// quotas returns quotas equal to q, which others hold too and nobody modifies; nil when none has a value.
func (p *parsedValues) quotas(q Quotas) *Quotas {
	if q == (Quotas{}) {
		return nil
	}
	p.mu.RLock()
	one := p.few[q]
	p.mu.RUnlock()
	if one != nil {
		return one
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if one := p.few[q]; one != nil {
		return one
	}
	if len(p.few) < maxShared {
		if p.few == nil {
			p.few = map[Quotas]*Quotas{}
		}
		p.few[q] = &q
	}
	return &q
}

// maxSharedMetadata is the longest JSON text of metadata that is worth sharing, in bytes.
const maxSharedMetadata = 256

// metadata is [parseMetadata] for snapshots: the map may be shared and is never modified.
func (p *parsedValues) metadata(text string) (map[string]string, error) {
	if text == "" || text == "{}" || len(text) > maxSharedMetadata {
		return parseMetadata(text, p)
	}
	p.mu.RLock()
	m, ok := p.maps[text]
	p.mu.RUnlock()
	if ok {
		return m, nil
	}
	m, err := parseMetadata(text, p)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.maps) < maxShared {
		if p.maps == nil {
			p.maps = map[string]map[string]string{}
		}
		p.maps[strings.Clone(text)] = m
	}
	return m, nil
}

// upstreams reads a JSON array of upstreams; nil when it is empty. The list may be shared and is never modified.
func (p *parsedValues) upstreams(text string) ([]Upstream, error) {
	if text == "" || text == "[]" {
		return nil, nil
	}
	p.mu.RLock()
	list, ok := p.lists[text]
	p.mu.RUnlock()
	if ok {
		return list, nil
	}
	var names []string
	if err := json.Unmarshal([]byte(text), &names); err != nil {
		return nil, err
	}
	for i, name := range names {
		u, err := ParseUpstream(name)
		if err != nil {
			return nil, fmt.Errorf("upstream %d: %w", i, err)
		}
		u.Scheme, u.Address = p.shared(u.Scheme), p.shared(u.Address)
		list = append(list, u)
	}
	list = slices.Clip(list)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.lists) < maxShared {
		if p.lists == nil {
			p.lists = map[string][]Upstream{}
		}
		p.lists[strings.Clone(text)] = list
	}
	return list, nil
}
