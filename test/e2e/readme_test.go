package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

// Promise: Caddyfile.example runs as it stands, and each curl line in README's chapter "First run" is answered with
// exactly what README shows, in that order.
//
// README shows commands in blocks marked "console": a line that begins with "$ " is a command, what follows is its
// output. In the output, "…" within a line stands for anything, and a line that is only "…" for any lines.
// Commands that do not use curl are left to the reader.
func TestReadmeFirstRun(t *testing.T) {
	t.Parallel()
	root := harness.RepositoryRoot(t)
	chapter := readmeChapter(harness.ReadFile(t, filepath.Join(root, "README.md")), "First run")
	commands := consoleCommands(chapter)
	commands = slices.DeleteFunc(commands, func(c consoleCommand) bool { return !strings.Contains(c.command, "curl ") })
	if chapter != "" && len(commands) == 0 {
		t.Error("README's chapter \"First run\" has no console block with a curl line")
	}

	e := startExample(t, root)
	for _, c := range commands {
		out := e.run(t, c.command)
		if err := matchOutput(c.output, out); err != nil {
			t.Errorf("$ %s\n%v\nREADME shows:\n%s\nthe answer is:\n%s", c.command, err, c.output, out)
		}
	}
}

// Promise: the example has what its comments say: acme with two environments and a domain, globex with 60 requests a
// minute and a burst of 20, initech suspended.
func TestExample(t *testing.T) {
	t.Parallel()
	e := startExample(t, harness.RepositoryRoot(t))
	status := func(args string) string {
		return strings.TrimSpace(e.run(t, `curl -sS -o /dev/null -w '%{http_code}' `+args))
	}
	for args, want := range map[string]string{
		"-H 'Host: acme.localhost:8080' http://127.0.0.1:8080/":    "200",
		"http://acme.localhost:8080/":                              "200",
		"-H 'Host: app.acme.test' http://127.0.0.1:8080/":          "200",
		"-H 'X-Tenant-ID: acme' http://127.0.0.1:8080/":            "200",
		"-H 'Host: initech.localhost:8080' http://127.0.0.1:8080/": "403",
		"-H 'Host: nobody.localhost:8080' http://127.0.0.1:8080/":  "404",
	} {
		if got := status(args); got != want {
			t.Errorf("curl %s: status %s, want %s", args, got, want)
		}
	}
	production := e.run(t, "curl -sS -H 'Host: acme.localhost:8080' http://127.0.0.1:8080/")
	dev := e.run(t, "curl -sS -H 'Host: acme--dev.localhost:8080' http://127.0.0.1:8080/")
	if !strings.Contains(production, `"production"`) || !strings.Contains(dev, `"dev"`) || production == dev {
		t.Errorf("production answers\n%s\ndev answers\n%s", production, dev)
	}
	count := map[string]int{}
	for range 30 {
		count[status("-H 'Host: globex.localhost:8080' http://127.0.0.1:8080/")]++
	}
	if count["200"] < 20 || count["429"] == 0 || count["200"]+count["429"] != 30 {
		t.Errorf("30 requests for globex gave %v, want at least 20 × 200 and the rest 429", count)
	}
}

// Promise: the matching of README's output is exact but for "…".
func TestReadmeFormat(t *testing.T) {
	t.Parallel()
	const sample = "# X\n\n## First run\n\nText.\n\n```console\n$ curl -i http://localhost:8080/\nHTTP/1.1 200 OK\nDate: …\n…\n\nhello\n" +
		"$ curl -s \\\n    http://localhost:8080/b\nb\n```\n\n```sh\n$ curl not this\n```\n\n## Next\n\n```console\n$ curl other\n```\n"
	commands := consoleCommands(readmeChapter(sample, "First run"))
	if len(commands) != 2 || commands[0].command != "curl -i http://localhost:8080/" || commands[1].command != "curl -s \\\n    http://localhost:8080/b" {
		t.Fatalf("found %+v", commands)
	}
	for out, matches := range map[string]bool{
		"HTTP/1.1 200 OK\r\nDate: Mon\r\nServer: Caddy\r\n\r\nhello\n":      true,
		"HTTP/1.1 200 OK\nDate: Mon\nServer: Caddy\nVia: x\n\nhello":        true,
		"HTTP/1.1 200 OK\nDate: Mon\n\nhello\n":                             true,
		"HTTP/1.1 404 Not Found\nDate: Mon\nServer: Caddy\n\nhello\n":       false,
		"HTTP/1.1 200 OK\nDate: Mon\nServer: Caddy\n\nhello\nsomething\n":   false,
		"HTTP/1.1 200 OK\nServer: Caddy\nServer: Caddy\n\nhello\n":          false,
		"HTTP/1.1 200 OK\nDate: Mon\nServer: Caddy\n\nhello to everybody\n": false,
	} {
		if err := matchOutput(commands[0].output, out); (err == nil) != matches {
			t.Errorf("%q: %v, want a match: %t", out, err, matches)
		}
	}
}

// example is Caddyfile.example at work, on ports of its own.
type example struct {
	dir string
	// ours and theirs are the ports in use here, by those of the example, and the other way round.
	ours, theirs map[string]string
}

var (
	portPattern   = regexp.MustCompile(`[^0-9a-z]:([0-9]{4,5})\b|(?:127\.0\.0\.1|localhost):([0-9]{4,5})\b`)
	numberPattern = regexp.MustCompile(`\b[0-9]{4,5}\b`)
)

// replacePorts replaces every number that is a port in the table.
func replacePorts(text string, by map[string]string) string {
	return numberPattern.ReplaceAllStringFunc(text, func(number string) string {
		if port, ok := by[number]; ok {
			return port
		}
		return number
	})
}

// startExample runs a copy of the example and of the files that it imports, with the ports replaced: the machine may
// use the example's own for something else.
func startExample(t *testing.T, root string) *example {
	t.Helper()
	e := &example{dir: t.TempDir()}
	caddyfile := harness.ReadFile(t, filepath.Join(root, "Caddyfile.example"))
	files := map[string]string{"Caddyfile.example": caddyfile}
	for _, m := range regexp.MustCompile(`(?m)^\s*import_file\s+(\S+)`).FindAllStringSubmatch(caddyfile, -1) {
		files[m[1]] = harness.ReadFile(t, filepath.Join(root, m[1]))
	}
	e.ours, e.theirs = map[string]string{}, map[string]string{}
	for _, text := range files {
		for _, m := range portPattern.FindAllStringSubmatch(text, -1) {
			port := m[1] + m[2]
			if e.ours[port] == "" {
				_, free, _ := net.SplitHostPort(harness.FreeAddress(t))
				e.ours[port], e.theirs[free] = free, port
			}
		}
	}
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(e.dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		harness.WriteFile(t, e.dir, name, replacePorts(text, e.ours))
	}
	if e.ours["8080"] == "" {
		t.Fatal("Caddyfile.example does not listen on port 8080")
	}
	options := harness.Options{Dir: e.dir, File: "Caddyfile.example", Address: "127.0.0.1:" + e.ours["8080"]}
	if m := regexp.MustCompile(`(?m)^\s*admin\s+127\.0\.0\.1:([0-9]+)$`).FindStringSubmatch(caddyfile); m != nil {
		options.Admin = "127.0.0.1:" + e.ours[m[1]]
	}
	harness.Start(t, options)
	return e
}

// run runs a line of README in a shell and returns what it wrote, as if the example had its own ports.
func (e *example) run(t *testing.T, command string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", replacePorts(command, e.ours))
	cmd.Dir = e.dir
	cmd.Env = append(os.Environ(), "NO_PROXY=*", "no_proxy=*", "CURL_HOME="+e.dir)
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("$ %s: %v", command, err)
	}
	return replacePorts(string(out), e.theirs)
}

// readmeChapter returns the text below a heading of the second level, up to the next one; "" when there is none.
func readmeChapter(readme, heading string) string {
	_, rest, found := strings.Cut("\n"+readme, "\n## "+heading+"\n")
	if !found {
		return ""
	}
	chapter, _, _ := strings.Cut(rest, "\n## ")
	return chapter + "\n"
}

type consoleCommand struct{ command, output string }

// consoleCommands returns the commands of all console blocks, each with the output below it. A command goes on in the
// next line after a backslash.
func consoleCommands(markdown string) []consoleCommand {
	var commands []consoleCommand
	inBlock, goesOn := false, false
	for _, line := range strings.Split(markdown, "\n") {
		switch {
		case !inBlock:
			inBlock = strings.TrimSpace(line) == "```console"
		case strings.TrimSpace(line) == "```":
			inBlock, goesOn = false, false
		case goesOn:
			commands[len(commands)-1].command += "\n" + line
			goesOn = strings.HasSuffix(line, `\`)
		case strings.HasPrefix(line, "$ "):
			commands = append(commands, consoleCommand{command: line[2:]})
			goesOn = strings.HasSuffix(line, `\`)
		case len(commands) > 0:
			commands[len(commands)-1].output += line + "\n"
		}
	}
	return commands
}

// matchOutput compares what README shows with what came. Only "…" leaves freedom, and the ends of lines do not count.
func matchOutput(shown, came string) error {
	var pattern strings.Builder
	pattern.WriteString(`\A`)
	for _, line := range strings.Split(strings.TrimRight(shown, "\n"), "\n") {
		if strings.TrimSpace(line) == "…" {
			pattern.WriteString(`(?:.*\n)*?`)
			continue
		}
		for i, part := range strings.Split(strings.TrimRight(line, " \t"), "…") {
			if i > 0 {
				pattern.WriteString(`.*?`)
			}
			pattern.WriteString(regexp.QuoteMeta(part))
		}
		pattern.WriteString(`[ \t]*\n`)
	}
	pattern.WriteString(`\z`)
	came = strings.TrimRight(strings.ReplaceAll(came, "\r\n", "\n"), "\n") + "\n"
	if !regexp.MustCompile(pattern.String()).MatchString(came) {
		return fmt.Errorf("the answer is not what README shows")
	}
	return nil
}
