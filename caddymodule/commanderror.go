package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tenantgate/tenantgate/adminapi"
	adminclient "github.com/tenantgate/tenantgate/adminapi/client"
	"github.com/tenantgate/tenantgate/registry"
)

// The exit codes of the subcommands.
const (
	exitDone        = 0
	exitUsage       = 1
	exitInvalid     = 2
	exitRegistry    = 3
	exitNotFound    = 4
	exitConflict    = 5
	exitFindings    = 6
	exitInterrupted = 130
)

const exitCodes = `
Exit codes:
  0    done (also when there was nothing to change)
  1    wrong usage, or a local file cannot be read or written
  2    a value is invalid, or the import file is, or contradicts the registry;
       nothing was written
  3    the registry or the gateway cannot be used: it is down, refuses the token,
       or is newer than this binary
  4    there is no such tenant, environment, plan, …
  5    things are not so that it can be done: it exists already, somebody else has
       changed it, its status does not allow it, or it is protected
  6    doctor has found an error; resolve: the request would be refused; usage: the
       quota is, or would be, exceeded
  130  interrupted
`

// The codes of errors that are not the admin interface's.
const (
	codeUsage       = "usage"
	codeFile        = "file"
	codeGateway     = "gateway_unavailable"
	codeInterrupted = "interrupted"
	codeFindings    = "findings"
	codeRefused     = "refused"
)

// commandError is an error with its code and exit code.
type commandError struct {
	exit  int
	code  string
	field string
	text  string
	err   error // nil: none below it
}

func (e *commandError) Error() string { return e.text }
func (e *commandError) Unwrap() error { return e.err }

// usage is a mistake in how the command is called.
func usage(format string, args ...any) error {
	return &commandError{exit: exitUsage, code: codeUsage, text: fmt.Sprintf(format, args...)}
}

// errQuiet is for an outcome that the command has printed itself.
func errQuiet(code string) error { return &commandError{exit: exitFindings, code: code} }

// reporting makes a cobra function of one that returns an error: it prints the error once, with its code, and gives the
// exit code. An interrupt ends the context.
func reporting(f func(ctx context.Context, cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		ctx, cancel := interruptible()
		defer cancel()
		err := f(ctx, cmd, args)
		if err == nil {
			return nil
		}
		e := explained(ctx, err)
		asJSON, _ := cmd.Flags().GetBool("json") // false where there is no such flag
		e.print(cmd.ErrOrStderr(), asJSON)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		if e.exit == exitUsage {
			return e // what is no error of Caddy's own exits with 1
		}
		return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return e.exit, nil })(cmd, args)
	}
}

// print writes one message, on one line where it says one thing.
func (e *commandError) print(w io.Writer, asJSON bool) {
	if e.text == "" {
		return
	}
	if asJSON {
		text, err := json.Marshal(map[string]any{"error": map[string]any{
			"code": e.code, "field": e.field, "detail": e.text, "exitCode": e.exit,
		}})
		if err == nil {
			_, _ = fmt.Fprintf(w, "%s\n", text)
			return
		}
	}
	_, _ = fmt.Fprintf(w, "Error (%s): %s\n", e.code, printable(e.text))
}

// maybeDone is said where a change was sent and its answer is lost.
const maybeDone = " The change may have been made all the same: look before making it again."

// explained finds the code and the exit code of an error.
func explained(ctx context.Context, err error) *commandError {
	var (
		own     *commandError
		refused *adminclient.Error
		sent    *url.Error
		path    *os.PathError
	)
	switch {
	case ctx.Err() != nil:
		e := &commandError{exit: exitInterrupted, code: codeInterrupted, text: "interrupted", err: err}
		if errors.As(err, &sent) && sent.Op != "Get" || errors.As(err, &refused) {
			e.text += "." + maybeDone
		}
		return e
	case errors.As(err, &own):
		return own
	case errors.As(err, &refused):
		return &commandError{exit: exitOf(refused.Problem.Code), code: refused.Problem.Code, field: refused.Field, text: refused.Detail, err: err}
	case errors.As(err, &sent):
		return unreachable(sent)
	case errors.As(err, &path):
		return &commandError{exit: exitUsage, code: codeFile, text: err.Error(), err: err}
	}
	e := &commandError{exit: exitCode(err), code: registry.Code(err), text: err.Error(), err: err}
	if bad := (*registry.DocumentError)(nil); errors.As(err, &bad) {
		e.code, e.field = registry.CodeInvalid, bad.Problems[0].Place
	}
	if e.code == "" { // the client's, about an answer that is none
		e.exit, e.code = exitRegistry, codeGateway
	}
	return e
}

// unreachable is the error for a gateway that does not answer.
func unreachable(err *url.Error) *commandError {
	e := &commandError{exit: exitRegistry, code: codeGateway, err: err}
	var op *net.OpError
	u, parseErr := url.Parse(err.URL)
	where := "the address"
	if parseErr == nil {
		where = u.Host
	}
	if errors.As(err, &op) && op.Op == "dial" {
		e.text = fmt.Sprintf("no gateway answers at %s (%v): start one, name another with --address, or work on the registry with --registry URL", where, op.Err)
		return e
	}
	e.text = fmt.Sprintf("the gateway at %s gave no answer: %v.", where, err.Err)
	if err.Op != "Get" {
		e.text += maybeDone
	}
	return e
}

// coded gives an error the exit code that a command has chosen.
func coded(exit int, err error) error {
	if err == nil {
		return nil
	}
	e := explained(context.Background(), err)
	if exit == exitUsage && e.exit != exitUsage {
		e.exit, e.code = exitUsage, codeUsage
	}
	return e
}

// exitOf chooses the exit code for a code of the admin interface.
func exitOf(code string) int {
	switch code {
	case registry.CodeNotFound:
		return exitNotFound
	case registry.CodeDuplicate, registry.CodeVersionConflict, registry.CodeStateConflict, registry.CodeProtected,
		adminapi.CodeKeyReused, adminapi.CodeNoHandler:
		return exitConflict
	case registry.CodeUnavailable, adminapi.CodeInternal, adminapi.CodeNoRoute, adminapi.CodeMethod:
		return exitRegistry
	case adminapi.CodeNoGateway:
		return exitUsage
	}
	return exitInvalid
}

// exitCode chooses the exit code for an error of the registry package.
func exitCode(err error) int {
	var bad *registry.DocumentError
	var path *os.PathError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, registry.ErrUnavailable):
		return exitRegistry
	case errors.As(err, &bad):
		return exitInvalid
	case errors.As(err, &path):
		return exitUsage
	}
	return exitInvalid
}
