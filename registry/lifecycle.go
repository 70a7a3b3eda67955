package registry

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Action changes the status of a tenant or an environment. The audit log has it as organization.ACTION or
// environment.ACTION.
type Action string

// The actions. What each leads from and to is in one table: see [Action.Next].
const (
	// ActionActivate ends provisioning: provisioning or failed -> active.
	ActionActivate Action = "activate"
	// ActionFail says that provisioning, or the removal of data, did not work: provisioning or destroying -> failed.
	ActionFail Action = "fail"
	// ActionProvision tries again: failed -> provisioning.
	ActionProvision Action = "provision"
	// ActionSuspend stops traffic for a while: active -> suspended.
	ActionSuspend Action = "suspend"
	// ActionRestore brings back: suspended or archived -> active.
	ActionRestore Action = "restore"
	// ActionArchive stops traffic for good and keeps everything: active, suspended or failed -> archived.
	ActionArchive Action = "archive"
	// ActionDestroy marks a tenant whose data is being removed: archived or failed -> destroying. Only tenants.
	// The record itself goes with [Store.DestroyTenant].
	ActionDestroy Action = "destroy"
)

// transition is one row of the state machine.
type transition struct {
	action Action
	from   []Status
	to     Status
	tenant bool // only for tenants
}

// transitions are the state machine of tenants and environments.
var transitions = []transition{
	{action: ActionActivate, from: []Status{StatusProvisioning, StatusFailed}, to: StatusActive},
	{action: ActionFail, from: []Status{StatusProvisioning, StatusDestroying}, to: StatusFailed},
	{action: ActionProvision, from: []Status{StatusFailed}, to: StatusProvisioning},
	{action: ActionSuspend, from: []Status{StatusActive}, to: StatusSuspended},
	{action: ActionRestore, from: []Status{StatusSuspended, StatusArchived}, to: StatusActive},
	{action: ActionArchive, from: []Status{StatusActive, StatusSuspended, StatusFailed}, to: StatusArchived},
	{action: ActionDestroy, from: []Status{StatusArchived, StatusFailed}, to: StatusDestroying, tenant: true},
}

// removable are the statuses in which the record of a tenant or an environment can be removed.
var removable = []Status{StatusArchived, StatusFailed, StatusDestroying}

// Next returns the status that the action leads to from another one; false where the state machine has no such
// transition, for a tenant or for an environment.
func (a Action) Next(from Status, tenant bool) (Status, bool) {
	for _, t := range transitions {
		if t.action == a && slices.Contains(t.from, from) && (tenant || !t.tenant) {
			return t.to, true
		}
	}
	return "", false
}

// Transition is what [Store.TransitionTenant] and [Store.TransitionEnvironment] shall do.
type Transition struct {
	// Action is required.
	Action Action
	// Reason is for people, at most 1000 characters. It is kept with the status, where the next one replaces it, and in
	// the audit log.
	Reason string
	// Force repeats the slug. [ActionDestroy] needs it, and [ActionArchive] of a protected environment does.
	Force string
}

// maxReason is the longest reason, in characters.
const maxReason = 1000

// check returns an error for an action that is none, and for a reason that the registry could not take.
func (t Transition) check(tenant bool) error {
	var known []string
	for _, row := range transitions {
		if tenant || !row.tenant {
			known = append(known, string(row.action))
		}
	}
	if !slices.Contains(known, string(t.Action)) {
		return &FieldError{Field: "action", Code: CodeInvalid, Message: fmt.Sprintf("%s is none of %s", quoted(string(t.Action)), strings.Join(known, ", "))}
	}
	return checkReason(t.Reason)
}

func checkReason(reason string) error {
	switch {
	case reason == "":
		return nil
	case utf8.RuneCountInString(reason) > maxReason:
		return &FieldError{Field: "reason", Code: CodeTooLong, Message: fmt.Sprintf("must not be longer than %d characters", maxReason)}
	case !utf8.ValidString(reason) || strings.ContainsRune(reason, 0) || strings.TrimSpace(reason) == "":
		return &FieldError{Field: "reason", Code: CodeInvalid, Message: "must be text"}
	}
	return nil
}

// step returns where an action leads, or why it leads nowhere.
func step(what string, action Action, from Status, tenant bool) (Status, error) {
	to, ok := action.Next(from, tenant)
	if ok {
		return to, nil
	}
	var possible []string
	for _, t := range transitions {
		if slices.Contains(t.from, from) && (tenant || !t.tenant) {
			possible = append(possible, string(t.action))
		}
	}
	return "", &ConflictError{
		Code:    CodeStateConflict,
		Message: fmt.Sprintf("%s is %s: it cannot %s; possible are %s", what, from, action, strings.Join(possible, ", ")),
	}
}

// forced returns an error unless force repeats the slug.
func forced(what, slug, force string) error {
	switch force {
	case slug:
		return nil
	case "":
		return &ConflictError{Code: CodeProtected, Message: what + " is protected: repeat its slug, " + slug + ", to force it"}
	}
	return &ConflictError{Code: CodeProtected, Message: fmt.Sprintf("%s is protected, and %s is not its slug, %s", what, quoted(force), slug)}
}
