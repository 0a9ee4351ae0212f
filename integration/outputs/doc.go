// Package outputs has no code. Its tests send hostile requests to an API that writes a log, an
// audit log, metrics, spans and a status. The tests search everything that the API wrote for
// tokens, secrets and internal addresses. A benchmark measures how much time all these outputs
// cost.
package outputs
