// Package outputs has no code. Its tests send hostile requests to an API whose log, audit log,
// metrics, spans and status are on. They search everything that the API wrote for tokens, secrets
// and internal addresses. The benchmark measures what all these outputs cost.
package outputs
