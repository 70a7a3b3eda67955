package tenantgate_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestManifest keeps the promise that xcaddy.json builds what go.mod builds: with
//
//	xcaddy build CADDY_VERSION --with MODULE@VERSION --output OUTPUT
func TestManifest(t *testing.T) {
	var manifest struct {
		CaddyVersion string `json:"caddy_version"`
		Plugins      []struct {
			Module  string `json:"module"`
			Version string `json:"version"`
		} `json:"plugins"`
		Output string `json:"output"`
	}
	f, err := os.Open("xcaddy.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dec := json.NewDecoder(f)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&manifest); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	var module string
	required := map[string]string{}
	for line := range strings.Lines(string(text)) {
		switch fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require ")); {
		case len(fields) == 2 && fields[0] == "module":
			module = fields[1]
		case len(fields) >= 2 && strings.HasPrefix(fields[1], "v"):
			required[fields[0]] = fields[1]
		}
	}
	if got, want := manifest.CaddyVersion, required["github.com/caddyserver/caddy/v2"]; got != want {
		t.Errorf("xcaddy.json has Caddy %s, go.mod has %s", got, want)
	}
	if len(manifest.Plugins) == 0 || manifest.Plugins[0].Module != module || manifest.Output == "" {
		t.Errorf("the first plugin must be this module, and there must be an output: %+v", manifest)
	}
	for _, p := range manifest.Plugins[min(1, len(manifest.Plugins)):] {
		if version, _, _ := strings.Cut(p.Version, "="); version != required[p.Module] {
			t.Errorf("xcaddy.json has %s %s, go.mod has %q", p.Module, p.Version, required[p.Module])
		}
	}
}
