// Package router leads a request to its tenant: sources yield references, a resolver turns them into the resolved
// tenant, and admission refuses what must not pass.
package router
