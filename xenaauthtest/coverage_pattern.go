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

// Mux is an [http.ServeMux] that remembers its routes. A ServeMux can't list its routes. To test
// the routes of a service, let it accept an interface that both types implement:
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

// Handle registers a handler like [http.ServeMux.Handle], and panics like it.
func (m *Mux) Handle(pattern string, handler http.Handler) {
	m.mux.Handle(pattern, handler)
	m.record(pattern)
}

// HandleFunc registers a handler like [http.ServeMux.HandleFunc], and panics like it.
func (m *Mux) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	m.mux.HandleFunc(pattern, handler)
	m.record(pattern)
}

// ServeHTTP calls the handler of the route that r matches.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.mux.ServeHTTP(w, r) }

// Routes returns the routes in the order of their registration. Source is the file and line of the
// registration.
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

// template returns the path of a route with every parameter as {name}.
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
		end := closing(rest, i)
		name, _, _ := strings.Cut(rest[i+1:end], ":") // a regular expression of chi follows the colon
		if name = strings.TrimSuffix(name, "..."); name != "$" {
			b.WriteString("{" + parameterName(name) + "}")
		}
		rest = rest[min(end+1, len(rest)):]
	}
	if before, found := strings.CutSuffix(rest, "/*"); found { // chi's wildcard
		rest = before + "/{" + parameterName("") + "}"
	}
	return b.String() + rest
}

// closing returns the index of the closing brace for the brace at open. A regular expression may
// contain braces.
func closing(s string, open int) int {
	depth := 0
	for i := open; i < len(s); i++ {
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

// concrete returns a host and a path that reach the route. The host is "" if any host does.
func (r Route) concrete(params map[string]string) (host, path string) {
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
