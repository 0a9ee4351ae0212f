package xenaauthtest

import (
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// Mux is an [http.ServeMux] that can list its routes. Let the function that registers your routes
// accept an interface. http.ServeMux and Mux implement this interface, so a test can pass a Mux:
//
//	func routes(mux interface{ Handle(string, http.Handler) }, auth *xenaauth.Middleware) {
//		mux.Handle("GET /invoices/{id}", auth.Require(…)(…))
//	}
//
// The zero value is ready for use.
type Mux struct {
	mux    http.ServeMux
	mu     sync.Mutex
	routes []Route
}

// Handle registers a handler. It works and panics like [http.ServeMux.Handle].
func (m *Mux) Handle(pattern string, handler http.Handler) {
	m.mux.Handle(pattern, handler)
	m.record(pattern)
}

// HandleFunc registers a function as a handler. It works and panics like
// [http.ServeMux.HandleFunc].
func (m *Mux) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	m.mux.HandleFunc(pattern, handler)
	m.record(pattern)
}

// ServeHTTP calls the handler of the route that matches r.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.mux.ServeHTTP(w, r) }

// Routes returns the routes in the order in which they were registered. The Source of a route is
// the file and line that registered it.
func (m *Mux) Routes() []Route {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.routes)
}

func (m *Mux) record(pattern string) {
	route := Route{Pattern: pattern}
	if i := strings.IndexAny(pattern, " \t"); i >= 0 {
		route.Method, route.Pattern = pattern[:i], strings.TrimLeft(pattern[i:], " \t")
	}
	if _, file, line, ok := runtime.Caller(2); ok {
		route.Source = fmt.Sprintf("%s:%d", file, line)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.routes = append(m.routes, route)
}

// ColonTemplate returns the [Route.Template] of a pattern of gin or echo. ":id" is a parameter for
// one segment. "*path" or "*" is a parameter for the rest of the path.
func ColonTemplate(pattern string) string {
	var b strings.Builder
	for pattern != "" {
		i := strings.IndexAny(pattern, ":*")
		if i < 0 {
			break
		}
		b.WriteString(pattern[:i])
		end := len(pattern)
		if slash := strings.IndexByte(pattern[i:], '/'); slash >= 0 && pattern[i] == ':' {
			end = i + slash
		}
		b.WriteString("{" + parameterName(pattern[i+1:end]) + "}")
		pattern = pattern[end:]
	}
	return b.String() + pattern
}

// Route.template returns the path in the route's pattern, with each parameter written as {name}.
func (r Route) template() string {
	if r.Template != "" {
		return r.Template
	}
	var b strings.Builder
	rest := r.Pattern[max(0, strings.IndexByte(r.Pattern, '/')):]
	for rest != "" {
		i := strings.IndexByte(rest, '{')
		if i < 0 {
			break
		}
		b.WriteString(rest[:i])
		end := closingBrace(rest, i)
		// In a pattern of chi, a parameter can have a regular expression after a colon:
		// {id:[0-9]+}.
		name, _, _ := strings.Cut(rest[i+1:end], ":")
		if name = strings.TrimSuffix(name, "..."); name != "$" {
			b.WriteString("{" + parameterName(name) + "}")
		}
		rest = rest[min(end+1, len(rest)):]
	}
	// In a pattern of chi, "*" is the wildcard for the rest of the path.
	if before, found := strings.CutSuffix(rest, "/*"); found {
		rest = before + "/{" + parameterName("") + "}"
	}
	return b.String() + rest
}

// closingBrace returns the index of the brace that ends a parameter in the pattern s. openIndex is
// the index of the brace that begins this parameter. There may be more braces between them, in a
// regular expression.
func closingBrace(s string, openIndex int) int {
	depth := 0
	for i := openIndex; i < len(s); i++ {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(s)
}

func parameterName(name string) string {
	if name == "" {
		return "path"
	}
	return name
}

// Route.requestTarget returns a host and a path for a request, so that the router finds the route
// r. The host is "" if the route is for every host.
func (r Route) requestTarget(params map[string]string) (host, path string) {
	if i := strings.IndexByte(r.Pattern, '/'); i > 0 {
		host = r.Pattern[:i]
	}
	if r.Path != "" {
		return host, r.Path
	}
	var b strings.Builder
	rest := r.template()
	for {
		before, after, found := strings.Cut(rest, "{")
		b.WriteString((&url.URL{Path: before}).EscapedPath())
		if !found {
			return host, b.String()
		}
		name, tail, _ := strings.Cut(after, "}")
		value, ok := params[name]
		if !ok {
			value = "1"
		}
		b.WriteString((&url.URL{Path: value}).EscapedPath())
		rest = tail
	}
}
