package routesfile_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/gateway/routesfile"
)

const (
	open   = "rules: [{route: /a, access: public}, {route: /, access: deny}]"
	closed = "rules: [{route: /a, access: deny}, {route: /, access: deny}]"
	wrong  = "rules: [{route: /a, access: public}, {route: /, acess: public}]"
)

func write(t testing.TB, path, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

func isOpen(t testing.TB, f *routesfile.File) bool {
	return find(t, f, "GET", "", "/a").Access.IsPublic()
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "routes.yaml")
	_, err := routesfile.Open(path, nil)
	require.EqualError(t, err, "routes.yaml: no such file or directory")
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = routesfile.Open(dir, nil)
	require.ErrorContains(t, err, "not a regular file")
	write(t, path, wrong)
	_, err = routesfile.Open(path, nil)
	require.ErrorContains(t, err, `routes.yaml:1: rule 2 (/): unknown key "acess"`)
	require.NotContains(t, err.Error(), dir)
	write(t, path, open)
	f, err := routesfile.Open(path, nil)
	require.NoError(t, err)
	require.True(t, isOpen(t, f))
	require.Empty(t, f.Table().Lint())
	pipe := filepath.Join(dir, "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	_, err = routesfile.Open(pipe, nil)
	require.ErrorContains(t, err, "not a regular file")
}

func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.yaml")
	write(t, path, open)
	f, err := routesfile.Open(path, nil)
	require.NoError(t, err)
	write(t, path, closed)
	require.True(t, isOpen(t, f), "nothing happens by itself")
	require.NoError(t, f.Reload())
	require.False(t, isOpen(t, f))
	for _, bad := range []string{wrong, "", "rules: [", open + "\n" + strings.Repeat("#", routesfile.MaxSize-len(open))} {
		write(t, path, bad)
		require.Error(t, f.Reload())
		require.False(t, isOpen(t, f))
		require.Equal(t, "deny", find(t, f, "GET", "", "/b").Access.String())
	}
	require.NoError(t, os.Remove(path))
	require.Error(t, f.Reload())
	require.Equal(t, "deny", find(t, f, "GET", "", "/a").Access.String())
	write(t, path, open)
	require.NoError(t, f.Reload())
	require.True(t, isOpen(t, f))
}

// The file changes while requests arrive. Each request must be decided by the old table or by the
// new table, never by a mix of both, and never by a file with a mistake. All rules of a table
// require a scope with the version of the table. After a reader has seen a version, it must not see
// an older version for any path.
func TestReloadUnderLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.yaml")
	tableOf := func(version int) string {
		return fmt.Sprintf("rules: [{route: /a, scopes: [v%d]}, {route: /, scopes: [v%[1]d]}]", version)
	}
	write(t, path, tableOf(0))
	f, err := routesfile.Open(path, nil)
	require.NoError(t, err)
	done := make(chan struct{})
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			newest := 0
			for {
				for _, path := range []string{"/a", "/b"} {
					access, version := find(t, f, "GET", "", path).Access.String(), 0
					_, err := fmt.Sscanf(access, "v%d", &version)
					if !assert.NoError(t, err, "%s: %s", path, access) ||
						!assert.GreaterOrEqual(t, version, newest, path) {
						return
					}
					newest = version
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for version := range 200 {
		content := tableOf(version)
		if version%5 == 4 {
			content = wrong
		}
		write(t, path, content)
		require.Equal(t, content == wrong, f.Reload() != nil)
	}
	close(done)
	wait.Wait()
	require.Equal(t, "v198", find(t, f, "GET", "", "/a").Access.String())
}

// journal is a log for these tests. One goroutine can read it while others write to it.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) Reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text.Reset()
}

// testWatch opens the file at path, starts Watch, and calls testBody with the File and its log. The
// function settle, which testBody also gets, waits until Watch has read the file twice. The time is
// fake (package synctest), so the test does not really wait.
func testWatch(t *testing.T, path string, testBody func(f *routesfile.File, log *journal, settle func())) {
	synctest.Test(t, func(t *testing.T) {
		log := new(journal)
		f, err := routesfile.Open(path, &routesfile.Options{Interval: time.Second, Logger: slog.New(slog.NewTextHandler(log, nil))})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- f.Watch(ctx) }()
		testBody(f, log, func() {
			// Watch reads the file once a second, so it reads the file twice during this Sleep.
			time.Sleep(2500 * time.Millisecond)
			synctest.Wait()
		})
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

func TestWatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.yaml")
	write(t, path, open)
	testWatch(t, path, func(f *routesfile.File, log *journal, settle func()) {
		settle()
		require.Empty(t, log.String())
		info, err := os.Stat(path)
		require.NoError(t, err)

		write(t, path, closed)
		require.NoError(t, os.Chtimes(path, info.ModTime(), info.ModTime()), "the time alone tells nothing")
		settle()
		require.False(t, isOpen(t, f))
		require.Contains(t, log.String(), "new route table")

		log.Reset()
		write(t, path, wrong)
		settle()
		settle()
		require.False(t, isOpen(t, f))
		require.Equal(t, 1, strings.Count(log.String(), "old one stays in force"), "told once: %s", log)
		require.Contains(t, log.String(), "rule 2 (/): unknown key")

		for range 2 { // the log has one record for each time that the file disappears
			log.Reset()
			require.NoError(t, os.Remove(path))
			settle()
			settle()
			require.Equal(t, 1, strings.Count(log.String(), "no such file"), "%s", log)
			require.False(t, isOpen(t, f))
			write(t, path, open)
			settle()
			require.True(t, isOpen(t, f))
			write(t, path, closed)
			settle()
			require.False(t, isOpen(t, f))
		}
	})
}

// While a file is being written, its beginning may already be a valid file. For example, this
// beginning may not yet contain the exceptions from a wide rule.
func TestWatchWaitsForTheWholeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.yaml")
	write(t, path, closed)
	testWatch(t, path, func(f *routesfile.File, log *journal, _ func()) {
		content := "rules:\n- {route: /a, access: public}\n"
		for range 4 {
			content += "# more\n"
			write(t, path, content)
			time.Sleep(time.Second)
			synctest.Wait()
			require.False(t, isOpen(t, f))
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.True(t, isOpen(t, f))
	})
}

// Kubernetes changes a ConfigMap by pointing the symbolic link ..data to another folder.
func TestWatchConfigMap(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"..1": open, "..2": closed} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
		write(t, filepath.Join(dir, name, "routes.yaml"), content)
	}
	require.NoError(t, os.Symlink("..1", filepath.Join(dir, "..data")))
	path := filepath.Join(dir, "routes.yaml")
	require.NoError(t, os.Symlink(filepath.Join("..data", "routes.yaml"), path))
	testWatch(t, path, func(f *routesfile.File, _ *journal, settle func()) {
		require.True(t, isOpen(t, f))
		require.NoError(t, os.Symlink("..2", filepath.Join(dir, "..data_tmp")))
		require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
		require.NoError(t, os.RemoveAll(filepath.Join(dir, "..1")))
		settle()
		require.False(t, isOpen(t, f))
	})
}

// A guard asks the File for the rule of each request, so it uses the new table after Reload.
func TestFileGuards(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.yaml")
	write(t, path, open)
	f, err := routesfile.Open(path, nil)
	require.NoError(t, err)
	m := xenaauth.NewMiddleware(nobody{}, nil)
	handler := routes.NewGuard(m, f.Find).Handler(http.NotFoundHandler())
	ask := func(path string) int {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w.Code
	}
	require.Equal(t, []int{404, 403}, []int{ask("/a"), ask("/b")})
	write(t, path, closed)
	require.NoError(t, f.Reload())
	require.Equal(t, []int{403, 403}, []int{ask("/a"), ask("/b")})
}

type nobody struct{}

func (nobody) Validate(context.Context, string) (*xenaauth.User, error) {
	return nil, &xenaauth.Error{Reason: xenaauth.ReasonSignature}
}
