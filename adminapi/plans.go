package adminapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/tenantgate/tenantgate/registry"
)

func planAnswer(p *registry.Plan, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	return answer{body: p, version: p.Version}, nil
}

func listPlans(ctx context.Context, c *call) (answer, error) {
	page, err := c.query.page()
	if err != nil {
		return answer{}, err
	}
	return list(c.Store.ListPlans(ctx, page))
}

func getPlan(ctx context.Context, c *call) (answer, error) {
	return planAnswer(c.Store.GetPlan(ctx, c.PathValue("plan")))
}

// createPlan makes a plan that must not be there yet. Its name makes it safe to ask twice: PUT is for that.
func createPlan(ctx context.Context, c *call) (answer, error) {
	if c.Header.Get("Idempotency-Key") != "" {
		return answer{}, invalid("Idempotency-Key", "a plan is created once by its name: use PUT to create it safely twice")
	}
	doc, err := document(c.body, registry.DecodePlan)
	if err != nil {
		return answer{}, err
	}
	p, _, err := c.Store.PutPlan(ctx, c.actor, *doc, registry.NotThere)
	if err != nil {
		return answer{}, err
	}
	ans, err := planAnswer(p, nil)
	return created(ans, err, false, "_plans", p.Name)
}

// putPlan creates or changes a plan. With If-None-Match: * it only creates.
func putPlan(ctx context.Context, c *call) (answer, error) {
	name := c.PathValue("plan")
	doc, err := decodeNamedPlan(c.body, name)
	if err != nil {
		return answer{}, err
	}
	version, err := c.ifMatch()
	if err != nil {
		return answer{}, err
	}
	none, err := headerText(c.Request, "If-None-Match")
	switch {
	case err != nil:
		return answer{}, err
	case none != "" && none != "*":
		return answer{}, invalid("If-None-Match", "can only be *")
	case none != "" && c.Header.Get("If-Match") != "":
		return answer{}, invalid("If-None-Match", "contradicts If-Match")
	case none != "":
		version = registry.NotThere
	case c.Header.Get("If-Match") == "*":
		if _, err := c.Store.GetPlan(ctx, name); err != nil {
			return answer{}, err
		}
	}
	p, isNew, err := c.Store.PutPlan(ctx, c.actor, *doc, version)
	if none != "" && registry.Code(err) == registry.CodeDuplicate {
		return answer{}, &statusError{http.StatusPreconditionFailed, registry.CodeVersionConflict, "The plan is there already."}
	}
	if err != nil {
		return answer{}, err
	}
	ans, err := planAnswer(p, nil)
	if isNew {
		return created(ans, err, false, "_plans", p.Name)
	}
	return ans, err
}

// decodeNamedPlan reads a plan whose name is in the path, and may be in the body as well.
func decodeNamedPlan(body []byte, name string) (*registry.DocumentPlan, error) {
	doc, err := document(body, registry.DecodePlan)
	if err == nil {
		if doc.Name != name {
			return nil, &bodyError{invalid("name", "is not the name in the path")}
		}
		return doc, nil
	}
	// Without a name it is read again with that of the path. The first reading has bounded nothing, and needs not: the
	// body is bounded.
	var members map[string]json.RawMessage
	trimmed := bytes.TrimSpace(body)
	if json.Unmarshal(trimmed, &members) != nil || members == nil || members["name"] != nil {
		return nil, err
	}
	quoted, marshalErr := json.Marshal(name)
	if marshalErr != nil || !strings.HasPrefix(string(trimmed), "{") {
		return nil, errors.Join(err, marshalErr)
	}
	var named bytes.Buffer
	named.WriteString(`{"name":`)
	named.Write(quoted)
	if len(members) > 0 {
		named.WriteByte(',')
	}
	named.Write(trimmed[1:])
	return document(named.Bytes(), registry.DecodePlan)
}

func deletePlan(ctx context.Context, c *call) (answer, error) {
	force, version, err := c.removal()
	if err != nil {
		return answer{}, err
	}
	name := c.PathValue("plan")
	if force != "" && force != name {
		return answer{}, &registry.ConflictError{Code: registry.CodeProtected, Message: "force does not repeat the plan's name"}
	}
	return removed(c.Store.DeletePlan(ctx, c.actor, name, version, force != ""))
}
