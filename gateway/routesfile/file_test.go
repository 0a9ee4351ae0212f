package routesfile_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

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
// new table, and never by a file with a mistake.
func TestReloadUnderLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.yaml")
	tables := []string{
		"rules: [{route: /a, scopes: [one]}, {route: /, scopes: [one]}]",
		"rules: [{route: /a, scopes: [two]}, {route: /, scopes: [two]}]",
	}
	write(t, path, tables[0])
	f, err := routesfile.Open(path, nil)
	require.NoError(t, err)
	done := make(chan struct{})
	var wait sync.WaitGroup
	seen := make([]map[string]int, 4)
	for i := range seen {
		seen[i] = make(map[string]int)
		wait.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					seen[i][find(t, f, "GET", "", "/a").Access.String()]++
				}
			}
		})
	}
	for i := range 200 {
		content := tables[i%2]
		if i%5 == 4 {
			content = wrong
		}
		write(t, path, content)
		require.Equal(t, content == wrong, f.Reload() != nil)
	}
	close(done)
	wait.Wait()
	for _, counts := range seen {
		for rule := range counts {
			require.Contains(t, []string{"one", "two"}, rule)
		}
	}
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

func TestFileGuards(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.yaml")
	write(t, path, open)
	f, err := routesfile.Open(path, nil)
	require.NoError(t, err)
	m := xenaauth.NewMiddleware(nobody{}, nil)
	require.NotNil(t, routes.NewGuard(m, f.Find).Handler)
}

type nobody struct{}

func (nobody) Validate(context.Context, string) (*xenaauth.User, error) {
	return nil, &xenaauth.Error{Reason: xenaauth.ReasonSignature}
}
