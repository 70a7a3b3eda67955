package caddymodule

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tenantgate/tenantgate/registry"
)

const (
	// completionTimeout bounds what a shell waits for when somebody presses the tab key.
	completionTimeout = 2 * time.Second
	// maxCompletions is how many slugs a shell is offered.
	maxCompletions = 100
)

// completer offers slugs for arguments: kinds says what each argument is ("tenant", "environment",
// "credential", "plan"). Where
// nobody can be asked, it offers nothing.
func completer(kinds []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		const none = cobra.ShellCompDirectiveNoFileComp
		if len(args) >= len(kinds) {
			return nil, none
		}
		ctx, cancel := context.WithTimeout(context.Background(), completionTimeout)
		defer cancel()
		s, err := openSession(ctx, cmd, false)
		if err != nil {
			return nil, none
		}
		defer s.close()
		list, err := s.complete(ctx, kinds[len(args)], args, prefix)
		if err != nil {
			return nil, none
		}
		return list, none
	}
}

// complete returns slugs of a kind that begin with prefix; the shell leaves out the others.
func (s *session) complete(ctx context.Context, kind string, args []string, prefix string) (list []string, err error) {
	page := registry.Page{Limit: maxCompletions}
	switch kind {
	case "tenant":
		tenants, err := s.ListTenants(ctx, registry.TenantFilter{Prefix: prefix, Page: page})
		if err != nil {
			return nil, err
		}
		for _, t := range tenants.Items {
			list = append(list, t.Slug)
		}
	case "environment":
		environments, err := s.ListEnvironments(ctx, args[0], registry.EnvironmentFilter{Page: page})
		if err != nil {
			return nil, err
		}
		for _, e := range environments.Items {
			list = append(list, e.Slug)
		}
	case "credential":
		credentials, err := s.ListCredentials(ctx, args[0], args[1], page)
		if err != nil {
			return nil, err
		}
		for _, c := range credentials.Items {
			list = append(list, fmt.Sprintf("%s\t%s, %s", c.ID, c.Scope, c.Status))
		}
	case "plan":
		plans, err := s.ListPlans(ctx, page)
		if err != nil {
			return nil, err
		}
		for _, p := range plans.Items {
			list = append(list, p.Name)
		}
	}
	return list, nil
}
