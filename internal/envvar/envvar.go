// Package envvar reads typed values from environment variables, and collects the errors.
//
// An error names the variable but never contains its value: a secret may have been put into the
// wrong variable. A variable with an empty value counts as not set, and its value is the zero
// value.
package envvar

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Reader reads environment variables. It is not safe for concurrent use.
type Reader struct {
	getenv func(name string) string
	prefix string // prefix is the text with which each error begins
	errs   []error
	// setNames contains the names of the environment variables that were read and are not empty
	setNames []string
}

// NewReader returns a Reader that reads environment variables with the function getenv, usually
// [os.Getenv]. The text of each error begins with prefix and a colon.
func NewReader(prefix string, getenv func(name string) string) *Reader {
	return &Reader{getenv: getenv, prefix: prefix}
}

// Err returns the errors of all environment variables that were read, joined by [errors.Join]. It
// returns nil if there are no errors.
func (r *Reader) Err() error { return errors.Join(r.errs...) }

// Wrong adds an error about an environment variable to the result of Err. The text of the error
// must not contain the value of the variable.
func (r *Reader) Wrong(name, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s: %s "+format, append([]any{r.prefix, name}, args...)...))
}

// AnySet reports whether at least one of the environment variables that were read so far has a
// value and a name that begins with prefix.
func (r *Reader) AnySet(prefix string) bool {
	return slices.ContainsFunc(r.setNames, func(name string) bool {
		return strings.HasPrefix(name, prefix)
	})
}

// Text returns the value of an environment variable unchanged.
func (r *Reader) Text(name string) string {
	value := r.getenv(name)
	if value != "" {
		r.setNames = append(r.setNames, name)
	}
	return value
}

// List returns the elements of an environment variable that contains a list. The elements are
// separated by commas or spaces.
func (r *Reader) List(name string) []string {
	value := r.Text(name)
	if value == "" {
		return nil
	}
	list := strings.FieldsFunc(value, func(c rune) bool { return c == ',' || c == ' ' })
	if len(list) == 0 {
		r.Wrong(name, "is a list without elements")
		return nil
	}
	return list
}

// Flag returns true if the value of the variable is "true", and false if it is "false". Any other
// value is an error.
func (r *Reader) Flag(name string) bool {
	return Word(r, name, map[string]bool{"true": true, "false": false})
}

// Number returns the value of a variable that must be a whole number above 0.
func (r *Reader) Number(name string) int {
	value := r.Text(name)
	if value == "" {
		return 0
	}
	n, err := strconv.Atoi(value)
	if err != nil || n <= 0 {
		r.Wrong(name, "is not a whole number above 0")
		return 0
	}
	return n
}

// Duration returns the value of a variable that must be a duration. The duration must not be less
// than minValue or more than maxValue.
func (r *Reader) Duration(name string, minValue, maxValue time.Duration) time.Duration {
	d, ok := r.duration(name)
	switch {
	case !ok:
	case d < minValue && minValue > time.Nanosecond:
		r.Wrong(name, "is less than %s", minValue)
	case d < minValue && minValue == 0:
		r.Wrong(name, "is negative")
	case d < minValue:
		r.Wrong(name, "is not above 0")
	case d > maxValue:
		r.Wrong(name, "is more than %s", maxValue)
	default:
		return d
	}
	return 0
}

// TTL returns the value of a variable that must be a time to live. A negative duration turns
// caching off. 0 is an error: in a Config, 0 stands for the default, and a user who writes 0 does
// not expect the default.
func (r *Reader) TTL(name string) time.Duration {
	d, ok := r.duration(name)
	if ok && d == 0 {
		r.Wrong(name, "is 0, which would mean the default: "+
			"a negative duration, such as -1s, keeps nothing")
	}
	return d
}

func (r *Reader) duration(name string) (d time.Duration, ok bool) {
	value := r.Text(name)
	if value == "" {
		return 0, false
	}
	d, err := time.ParseDuration(value)
	if err != nil {
		r.Wrong(name, "is not a duration, such as 90s or 1h30m")
	}
	return d, err == nil
}

// Word reads an environment variable whose value must be a key of the map words. It returns the
// value that the map has for this key. If the map does not contain the key, Word adds an error to
// the result of Err.
func Word[T any](r *Reader, name string, words map[string]T) (value T) {
	text := r.Text(name)
	value, ok := words[text]
	if text != "" && !ok {
		known := make([]string, 0, len(words))
		for w := range words {
			known = append(known, w)
		}
		slices.Sort(known)
		r.Wrong(name, "is none of: %s", strings.Join(known, ", "))
	}
	return value
}
