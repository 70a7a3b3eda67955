package adminapi

import "context"

// openAPI is the OpenAPI 3.1 document of the routes.
func openAPI() map[string]any {
	paths := map[string]map[string]any{}
	for _, r := range allRoutes() {
		if paths[r.path] == nil {
			paths[r.path] = map[string]any{}
		}
		paths[r.path][r.method] = map[string]any{"summary": r.summary}
	}
	return map[string]any{"openapi": "3.1.0", "paths": paths}
}

func getOpenAPI(context.Context, *call) (answer, error) {
	return answer{body: openAPI()}, nil
}
