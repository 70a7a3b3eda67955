package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// gatewayConfig is what the commands look at in a configuration of a gateway.
type gatewayConfig struct {
	Admin struct {
		Listen string `json:"listen"`
	} `json:"admin"`
	Logging struct {
		Logs map[string]*logConfig `json:"logs"`
	} `json:"logging"`
	Apps struct {
		HTTP struct {
			Servers map[string]*serverConfig `json:"servers"`
		} `json:"http"`
		Tenants struct {
			Registry  *Registry           `json:"registry"`
			Plans     []Plan              `json:"plans"`
			Pools     map[string][]string `json:"pools"`
			Upstreams []string            `json:"upstreams"`
			Secrets   *Secrets            `json:"secrets"`
			Quota     *struct {
				URL string `json:"url"`
			} `json:"quota"`
		} `json:"tenants"`
	} `json:"apps"`
}

// maxConfig is the longest configuration file that is read, in bytes.
const maxConfig = 64 << 20

// loadGatewayConfig reads a configuration without loading it. adapter is "" for the one that the name of the file
// suggests: none for .json, else caddyfile.
func loadGatewayConfig(path, adapter string) (*gatewayConfig, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxConfig {
		return nil, errors.New("the file is too long for a configuration")
	}
	if adapter == "" && !strings.EqualFold(filepath.Ext(path), ".json") {
		adapter = "caddyfile"
	}
	if adapter != "" {
		a := caddyconfig.GetAdapter(adapter)
		if a == nil {
			return nil, fmt.Errorf("there is no adapter %q", adapter)
		}
		if text, _, err = a.Adapt(text, map[string]any{"filename": path}); err != nil {
			return nil, err
		}
	}
	c := new(gatewayConfig)
	if err := json.Unmarshal(text, c); err != nil {
		return nil, err
	}
	return c, nil
}
