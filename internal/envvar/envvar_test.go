package envvar_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/envvar"
)

func reader(values map[string]string) *envvar.Reader {
	return envvar.NewReader("test", func(name string) string { return values[name] })
}

func TestValues(t *testing.T) {
	t.Parallel()
	r := reader(map[string]string{
		"TEXT": " a b ", "LIST": "a, b,,c d", "FLAG": "true", "NO": "false", "NUMBER": "7", "DURATION": "1h30m",
		"TTL": "-1s", "WORD": "two",
	})
	require.Equal(t, " a b ", r.Text("TEXT"))
	require.Equal(t, []string{"a", "b", "c", "d"}, r.List("LIST"))
	require.True(t, r.Flag("FLAG"))
	require.False(t, r.Flag("NO"))
	require.Equal(t, 7, r.Number("NUMBER"))
	require.Equal(t, 90*time.Minute, r.Duration("DURATION", 0, 90*time.Minute))
	require.Equal(t, -time.Second, r.TTL("TTL"))
	require.Equal(t, 2, envvar.Word(r, "WORD", map[string]int{"one": 1, "two": 2}))
	require.NoError(t, r.Err())
}

func TestVariablesThatAreNotSet(t *testing.T) {
	t.Parallel()
	r := reader(nil)
	require.Empty(t, r.Text("X"))
	require.Nil(t, r.List("X"))
	require.False(t, r.Flag("X"))
	require.Zero(t, r.Number("X"))
	require.Zero(t, r.Duration("X", time.Second, time.Hour))
	require.Zero(t, r.TTL("X"))
	require.Zero(t, envvar.Word(r, "X", map[string]int{"one": 1}))
	require.NoError(t, r.Err())
	require.False(t, r.AnySet("X"))
}

// An error about an environment variable names the variable and says what is wrong. It does not
// contain the value of the variable, which may be a secret. Each key of the map has two parts. The
// text before the last space must be in the error. The word after the last space is the value that
// the variable has in the test.
func TestErrors(t *testing.T) {
	t.Parallel()
	for want, read := range map[string]func(r *envvar.Reader, name string){
		"is a list without elements ,":                    func(r *envvar.Reader, name string) { r.List(name) },
		"is none of: false, true hunter2":                 func(r *envvar.Reader, name string) { r.Flag(name) },
		"is not a whole number above 0 0":                 func(r *envvar.Reader, name string) { r.Number(name) },
		"is less than 1s 1ms":                             func(r *envvar.Reader, name string) { r.Duration(name, time.Second, time.Hour) },
		"is negative -1s":                                 func(r *envvar.Reader, name string) { r.Duration(name, 0, time.Hour) },
		"is not above 0 -7s":                              func(r *envvar.Reader, name string) { r.Duration(name, 1, time.Hour) },
		"is more than 1h0m0s 2h":                          func(r *envvar.Reader, name string) { r.Duration(name, 1, time.Hour) },
		"is not a whole number above 0 hunter2":           func(r *envvar.Reader, name string) { r.Number(name) },
		"is not a duration, such as 90s or 1h30m hunter2": func(r *envvar.Reader, name string) { r.Duration(name, 1, time.Hour) },
		"is 0, which would mean the default: 0s":          func(r *envvar.Reader, name string) { r.TTL(name) },
		"is not a duration, such as 90s or 1h30m hunter3": func(r *envvar.Reader, name string) { r.TTL(name) },
		"is none of: one, two hunter2":                    func(r *envvar.Reader, name string) { envvar.Word(r, name, map[string]int{"one": 1, "two": 2}) },
	} {
		text, value := cutLast(want)
		r := reader(map[string]string{"A_NAME": value, "OTHER": "x"})
		read(r, "A_NAME")
		require.ErrorContains(t, r.Err(), "test: A_NAME "+text, want)
		require.NotContains(t, strings.Replace(r.Err().Error(), text, "", 1), value, want)
		require.True(t, r.AnySet("A_"))
		require.False(t, r.AnySet("OTHER"), "it was not read")
	}
}

func cutLast(s string) (before, last string) {
	for i := len(s) - 1; ; i-- {
		if s[i] == ' ' {
			return s[:i], s[i+1:]
		}
	}
}

func TestErrJoinsAll(t *testing.T) {
	t.Parallel()
	r := reader(map[string]string{"A": "x", "B": "x"})
	r.Number("A")
	r.Flag("B")
	r.Wrong("C", "is missing")
	for _, want := range []string{"test: A is", "test: B is", "test: C is missing"} {
		require.ErrorContains(t, r.Err(), want)
	}
}
