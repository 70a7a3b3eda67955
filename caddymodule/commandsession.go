package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/tenantgate/tenantgate/adminapi"
	adminclient "github.com/tenantgate/tenantgate/adminapi/client"
	"github.com/tenantgate/tenantgate/registry"
)

// leaf is a subcommand that speaks to the admin interface: that of a running gateway, or one in this process that has
// a registry behind it.
type leaf struct {
	use, short, long, example string
	args                      cobra.PositionalArgs
	// completes are what the arguments are, for shell completion; see [completer].
	completes []string
	flags     func(*pflag.FlagSet)
	// creates says that the command may make a registry in a file that is not there yet.
	creates bool
	run     func(ctx context.Context, s *session, args []string) error
}

// command makes the cobra command.
func (l leaf) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: l.use, Short: l.short, Long: l.short + ".\n" + l.long, Example: l.example, Args: l.args,
		ValidArgsFunction: completer(l.completes),
	}
	sessionFlags(cmd.Flags())
	if l.flags != nil {
		l.flags(cmd.Flags())
	}
	cmd.RunE = reporting(func(ctx context.Context, cmd *cobra.Command, args []string) error {
		s, err := openSession(ctx, cmd, l.creates)
		if err != nil {
			return err
		}
		defer s.close()
		return l.run(ctx, s, args)
	})
	return cmd
}

// sessionFlags adds the flags that say where the admin interface is and how to answer.
func sessionFlags(fs *pflag.FlagSet) {
	fs.String("address", "", "admin endpoint of the gateway (default: that of --config, else "+caddy.DefaultAdminListen+")")
	fs.StringP("config", "c", "", "the gateway's configuration file, which says where its admin endpoint is")
	fs.String("adapter", "", "adapter of the configuration file, such as caddyfile (default: by its name)")
	fs.String("registry", "", "work straight on the registry with this URL, without a gateway")
	fs.String("auth-token-file", "", "file that holds the registry's token (default: the environment variable TENANT_REGISTRY_TOKEN)")
	fs.Duration("timeout", 0, "bound of each request (default 1m), or of each call of the registry (default 5s)")
	fs.String("actor", "", "who does it, for the audit log (default: $USER)")
	fs.Bool("json", false, "print JSON")
}

// session is what a subcommand works with.
type session struct {
	*adminclient.Client
	terminal
	flags *pflag.FlagSet
	json  bool
	// store is nil where a gateway answers.
	store *registry.Store
}

// openSession finds the admin interface that the flags name. A gateway is not asked yet; a registry is.
func openSession(ctx context.Context, cmd *cobra.Command, creates bool) (*session, error) {
	fs := cmd.Flags()
	s := &session{terminal: commandTerminal(cmd), flags: fs}
	s.json = s.flag("json")
	timeout, err := fs.GetDuration("timeout")
	if err != nil || timeout < 0 {
		return nil, usage("--timeout must be a positive duration")
	}
	o := adminclient.Options{Actor: s.actor(), Timeout: timeout}
	if s.text("registry") != "" {
		if s.text("address") != "" || s.text("config") != "" {
			return nil, usage("--registry works without a gateway: leave out --address and --config")
		}
		if err := s.openStore(ctx, fs, creates); err != nil {
			return nil, err
		}
		api, err := adminapi.New(adminapi.Options{Backend: adminapi.Fixed(adminapi.Backend{Store: s.store})})
		if err != nil {
			s.close()
			return nil, err
		}
		o.Address, o.HTTP, o.Timeout = "http://registry", &http.Client{Transport: inProcess{api}}, 0
	} else if err := gatewayOptions(&o, s.text("address"), s.text("config"), s.text("adapter")); err != nil {
		return nil, err
	}
	s.Client, err = adminclient.New(o)
	if err != nil {
		s.close()
		return nil, usage("%v", err)
	}
	return s, nil
}

// openStore opens the registry and brings its schema up to date.
func (s *session) openStore(ctx context.Context, fs *pflag.FlagSet, creates bool) error {
	store, err := openRegistry(caddycmd.Flags{FlagSet: fs})
	if err != nil {
		return usage("%v", err)
	}
	if !creates && missingFile(store.RedactedURL()) {
		_ = store.Close() // nothing was opened yet
		return usage("registry %s does not exist", store.RedactedURL())
	}
	if err := migrate(ctx, store); err != nil {
		_ = store.Close() // the first error says more
		return err
	}
	s.store = store
	return nil
}

// gatewayOptions sets how a gateway's admin endpoint is reached.
func gatewayOptions(o *adminclient.Options, address, config, adapter string) error {
	if address == "" && config != "" {
		if err := readableFile(config); err != nil {
			return err
		}
		c, err := loadGatewayConfig(config, adapter)
		if err != nil {
			return usage("%s: %v", config, err)
		}
		address = c.Admin.Listen
	}
	if address == "" {
		address = caddy.DefaultAdminListen
	}
	at, err := caddy.ParseNetworkAddress(address)
	if err != nil || at.PortRangeSize() > 1 {
		return usage("the address %q of the admin endpoint must be like localhost:2019 or unix//run/caddy/admin.sock", address)
	}
	o.Address = "http://127.0.0.1" // what the endpoint's checks of Host and Origin expect where there is no port
	network, target := at.Network, at.JoinHostPort(0)
	if at.IsUnixNetwork() {
		target, _, _ = strings.Cut(target, "|") // without the permissions of the socket
	} else {
		if at.Host == "" {
			target = net.JoinHostPort("localhost", fmt.Sprint(at.StartPort))
		}
		o.Address, o.Origin = "http://"+target, "http://"+target
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	o.HTTP = &http.Client{
		Transport: recognizing{&http.Transport{ // no proxy: the endpoint is this machine's, or one that the operator names
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, target)
			},
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return nil
}

// recognizing refuses answers that look like success and are not the admin interface's: some other server would
// otherwise be taken for a gateway without tenants.
type recognizing struct{ http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (r recognizing) RoundTrip(q *http.Request) (*http.Response, error) {
	resp, err := r.RoundTripper.RoundTrip(q)
	if err != nil || resp.StatusCode >= 300 || resp.Header.Get("X-Request-Id") != "" {
		return resp, err
	}
	_ = resp.Body.Close() // nobody reads it
	return nil, errors.New("what answers there is no gateway")
}

// dialTimeout bounds how long a connection to an admin endpoint may take.
const dialTimeout = 5 * time.Second

// readableFile refuses a file that cannot be read, before Caddy logs something about it.
func readableFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

func (s *session) close() {
	if s.store != nil {
		_ = s.store.Close() // everything was answered
	}
}

// actor is who the audit log says it was.
func (s *session) actor() string {
	if name := s.text("actor"); name != "" {
		return name
	}
	if name := os.Getenv("USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "cli"
}

// text, flag, number, version and given read the flags of the command. A flag that the command does not have is a mistake
// of this program.
func (s *session) text(name string) string    { return must(s.flags.GetString(name)) }
func (s *session) flag(name string) bool      { return must(s.flags.GetBool(name)) }
func (s *session) number(name string) int     { return must(s.flags.GetInt(name)) }
func (s *session) version() int64             { return must(s.flags.GetInt64("version")) }
func (s *session) given(names ...string) bool { return anyChanged(s.flags, names) }

// list reads a flag that can be given several times. Not by GetStringArray, which loses one that is given as "".
func (s *session) list(name string) []string {
	v, ok := s.flags.Lookup(name).Value.(pflag.SliceValue)
	if !ok {
		panic("--" + name + " is no list")
	}
	return v.GetSlice()
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func anyChanged(fs *pflag.FlagSet, names []string) bool {
	for _, name := range names {
		if fs.Changed(name) {
			return true
		}
	}
	return false
}

// commandTerminal is what a command writes to.
func commandTerminal(cmd *cobra.Command) terminal {
	return terminal{out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), live: term.IsTerminal(int(os.Stderr.Fd()))}
}

// parent makes a command that only has subcommands.
func parent(name, short, long string, subcommands ...*cobra.Command) caddycmd.Command {
	names := make([]string, len(subcommands))
	for i, c := range subcommands {
		names[i] = c.Name()
	}
	list := strings.Join(names, "|")
	return caddycmd.Command{
		Name: name, Usage: list, Short: short, Long: long,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Use = name + " " + list
			cmd.AddCommand(subcommands...)
			// Without a subcommand: help, and not a success, because nothing was done.
			cmd.RunE = reporting(func(_ context.Context, cmd *cobra.Command, args []string) error {
				if len(args) > 0 {
					return usage("there is no subcommand %q: see %s --help", args[0], cmd.CommandPath())
				}
				return errors.Join(cmd.Help(), usage("a subcommand is needed: %s", list))
			})
		},
	}
}
