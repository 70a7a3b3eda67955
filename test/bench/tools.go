package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// nginxModules is where Debian has nginx's modules.
const nginxModules = "/usr/lib/nginx/modules"

// luaRedis is Debian's Redis client for nginx with Lua.
const luaRedis = "/usr/share/lua/5.1/nginx/redis.lua"

// leanModule is the module of `tenant_proxy`; a gateway that has it has `transport tenant`, too.
const leanModule = "http.handlers.tenant_proxy"

// tools are the programs that take part besides the gateway. What is not there is left out, and the report says so.
type tools struct {
	// Stock is a Caddy without plugins, Nginx, HAProxy and Redis are programs; each is empty when there is none.
	Stock, Nginx, HAProxy, Redis string
	// Lua tells whether nginx has Lua with a Redis client, Lean whether the gateway has `tenant_proxy`.
	Lua, Lean bool
	// Versions says what each is.
	Versions []string
}

// findTools looks for the programs, and asks each for its version.
func findTools(ctx context.Context, dir, gateway string) (tools, error) {
	var t tools
	modules, err := output(ctx, gateway, "list-modules")
	if err != nil {
		return t, err
	}
	t.Lean = hasLine(modules, leanModule)
	if stock := filepath.Join(dir, "caddy"); exists(stock) {
		info, err := buildinfo.ReadFile(stock)
		if err != nil {
			return t, err
		}
		t.Stock = stock
		t.Versions = append(t.Versions, fmt.Sprintf("Caddy %s without plugins, %s", info.Main.Version, info.GoVersion))
	}
	for _, tool := range []struct {
		path    *string
		name    string
		version []string
	}{
		{&t.Nginx, "nginx", []string{"-v"}},
		{&t.HAProxy, "haproxy", []string{"-v"}},
		{&t.Redis, "redis-server", []string{"--version"}},
	} {
		path, err := lookPath(tool.name)
		if err != nil {
			continue
		}
		said, err := output(ctx, path, tool.version...)
		if err != nil {
			return t, err
		}
		*tool.path = path
		t.Versions = append(t.Versions, tool.name+" "+version(said))
	}
	t.Lua = t.Nginx != "" && t.Redis != "" && exists(luaRedis) &&
		exists(filepath.Join(nginxModules, "ngx_http_lua_module.so")) && exists(filepath.Join(nginxModules, "ndk_http_module.so"))
	return t, nil
}

// missing names what is left out.
func (t tools) missing() []string {
	var names []string
	for _, tool := range []struct {
		here bool
		name string
	}{
		{t.Stock != "", "stock Caddy"},
		{t.Nginx != "", "nginx"},
		{t.HAProxy != "", "HAProxy"},
		{t.Lua, "nginx with Lua and Redis"},
		{t.Lean, "`transport tenant` and `tenant_proxy` (the gateway has no such modules)"},
	} {
		if !tool.here {
			names = append(names, tool.name)
		}
	}
	return names
}

// lookPath is exec.LookPath, which also looks where Debian keeps what only root starts.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", name))
}

// exists tells whether there is a file.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// output returns all that a program prints.
func output(ctx context.Context, program string, arguments ...string) (string, error) {
	out, err := exec.CommandContext(ctx, program, arguments...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", program, strings.Join(arguments, " "), err, bytes.TrimSpace(out))
	}
	return string(out), nil
}

// hasLine tells whether a text has a line that is the word, or begins with it and a blank.
func hasLine(text, word string) bool {
	for line := range strings.Lines(text) {
		if first, _, _ := strings.Cut(strings.TrimSpace(line), " "); first == word {
			return true
		}
	}
	return false
}

// versionNumber is how all of these programs write theirs, a digit first.
var versionNumber = regexp.MustCompile(`[0-9]+\.[0-9]+(\.[0-9]+)?(-[0-9A-Za-z+.~]+)?`)

// version finds the number in what a program says of its version.
func version(text string) string {
	if number := versionNumber.FindString(text); number != "" {
		return number
	}
	return "of unknown version"
}
