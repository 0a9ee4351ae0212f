package xenaauth

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth/internal/jose"
)

// environment reads variables and collects what is wrong with them. Errors name the variable and never show its value:
// a value that was put into the wrong variable can be a secret.
type environment struct {
	errs  []error
	found map[string]bool // prefixes of the variables that were set
}

const (
	forever      = time.Duration(math.MaxInt64)
	maxClockSkew = 2 * time.Minute
)

// profiles and clientAuths are the words for the values of Profile and ClientAuth.
var (
	profiles    = map[string]Profile{"identityserver": ProfileIdentityServer, "rfc9068": ProfileRFC9068}
	clientAuths = map[string]ClientAuth{"basic": ClientSecretBasic, "post": ClientSecretPost}
)

func (e *environment) wrong(name, format string, args ...any) {
	e.errs = append(e.errs, fmt.Errorf("xenaauth: %s %s", name, fmt.Sprintf(format, args...)))
}

func (e *environment) text(name string) string {
	value := os.Getenv(name)
	if value != "" && strings.HasPrefix(name, "XENA_INTROSPECTION_") {
		e.found = map[string]bool{"XENA_INTROSPECTION_": true}
	}
	return value
}

// url returns a URL. Whether http will do is for [Config.Validate] to tell.
func (e *environment) url(name string) string {
	value := e.text(name)
	if value != "" {
		if err := (Config{AllowHTTP: true}).checkURL(value); err != nil {
			e.wrong(name, "%v", err)
		}
	}
	return value
}

// list returns nil if the variable isn't set.
func (e *environment) list(name string) []string {
	value := e.text(name)
	if value == "" {
		return nil
	}
	list := strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
	if len(list) == 0 {
		e.wrong(name, "is a list of nothing")
		return nil
	}
	return list
}

func (e *environment) algorithms(name string) []string {
	list := e.list(name)
	for i, algorithm := range list {
		if !jose.Known(algorithm) {
			e.wrong(name, "holds an algorithm that is not supported, number %d of the list", i+1)
		}
	}
	return list
}

// claimNames reports names that ClientClaims and ScopeClaims must not hold, whatever the rest of c says.
func (e *environment) claimNames(c Config) {
	alone := Config{ClientClaims: c.ClientClaims, ScopeClaims: c.ScopeClaims, AllowClientAudience: true}
	alone.checkNames(func(field, format string, args ...any) {
		name := map[string]string{"ClientClaims": "XENA_CLIENT_CLAIMS", "ScopeClaims": "XENA_SCOPE_CLAIMS"}[field]
		e.wrong(name, format, args...)
	})
}

func (e *environment) flag(name string) bool {
	switch value := e.text(name); value {
	case "", "false":
		return false
	case "true":
		return true
	default:
		e.wrong(name, "is neither true nor false")
		return false
	}
}

func (e *environment) number(name string) int {
	value := e.text(name)
	if value == "" {
		return 0
	}
	n, err := strconv.Atoi(value)
	if err != nil || n <= 0 {
		e.wrong(name, "is not a whole number above 0")
		return 0
	}
	return n
}

// duration returns a duration from least to most.
func (e *environment) duration(name string, least, most time.Duration) time.Duration {
	d, ok := e.parseDuration(name)
	switch {
	case !ok:
	case d < least && least > time.Nanosecond:
		e.wrong(name, "is less than %s", least)
	case d < least && least == 0:
		e.wrong(name, "is negative")
	case d < least:
		e.wrong(name, "is not above 0")
	case d > most:
		e.wrong(name, "is more than %s", most)
	default:
		return d
	}
	return 0
}

// ttl returns how long something is kept. A negative one is not at all; 0 would be the default.
func (e *environment) ttl(name string) time.Duration {
	d, ok := e.parseDuration(name)
	if ok && d == 0 {
		e.wrong(name, "is 0, which would mean the default: a negative duration, such as -1s, keeps nothing")
	}
	return d
}

func (e *environment) parseDuration(name string) (d time.Duration, ok bool) {
	value := e.text(name)
	if value == "" {
		return 0, false
	}
	d, err := time.ParseDuration(value)
	if err != nil {
		e.errs = append(e.errs, errors.New("xenaauth: "+name+" is not a duration, such as 90s or 1h30m"))
	}
	return d, err == nil
}

// word returns the value that a word stands for, or the zero value.
func word[T any](e *environment, name string, words map[string]T) (value T) {
	text := e.text(name)
	value, ok := words[text]
	if text != "" && !ok {
		known := make([]string, 0, len(words))
		for w := range words {
			known = append(known, w)
		}
		slices.Sort(known)
		e.wrong(name, "is neither %s", strings.Join(known, " nor "))
	}
	return value
}
