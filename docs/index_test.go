package docs_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// readPages returns the text of every documentation page of the repository. The keys of the result
// are the paths of the pages.
func readPages(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	top := os.DirFS("..")
	require.NoError(t, fs.WalkDir(top, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case strings.HasSuffix(name, ".md"):
			text, err := fs.ReadFile(top, name)
			all[name] = string(text)
			return err
		}
		return nil
	}))
	return all
}

var (
	codeBlock = regexp.MustCompile("(?s)\n```.*?\n```")
	link      = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading   = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// relativeLinks returns the targets of the relative links of a documentation page, as paths of the
// repository.
func relativeLinks(name, text string) (targets []string) {
	for _, found := range link.FindAllStringSubmatch(codeBlock.ReplaceAllString(text, ""), -1) {
		target := found[1]
		switch {
		case strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:"):
		case strings.HasPrefix(target, "#"):
			targets = append(targets, name+target)
		default:
			targets = append(targets, path.Join(path.Dir(name), target))
		}
	}
	return targets
}

// headingAnchors returns the anchors of the headings of a page: the names that GitHub gives the
// headings in links.
func headingAnchors(text string) (all []string) {
	for _, found := range heading.FindAllStringSubmatch(codeBlock.ReplaceAllString(text, ""), -1) {
		plain := notAnchor.ReplaceAllString(strings.ToLower(found[1]), "")
		all = append(all, strings.ReplaceAll(plain, " ", "-"))
	}
	return all
}

func TestLinksWork(t *testing.T) {
	t.Parallel()
	all := readPages(t)
	require.NotEmpty(t, relativeLinks("README.md", all["README.md"]))
	for name, text := range all {
		for _, target := range relativeLinks(name, text) {
			file, anchor, _ := strings.Cut(target, "#")
			if _, err := os.Stat(filepath.Join("..", file)); err != nil {
				t.Errorf("%s links to %s, which doesn't exist", name, file)
			} else if anchor != "" && !slices.Contains(headingAnchors(all[file]), anchor) {
				t.Errorf("%s links to %s, which has no heading #%s", name, file, anchor)
			}
		}
	}
}

// TestIndexIsComplete requires that docs/README.md has a link to every page of the repository, with
// three exceptions. docs/README.md itself needs a link in README.md. A page about a decision needs
// a link in docs/decisions/README.md. For a page in a folder of test data, at least one page must
// have a link to it or to its folder.
func TestIndexIsComplete(t *testing.T) {
	t.Parallel()
	all := readPages(t)
	linked := make(map[string]bool)
	for name, text := range all {
		for _, target := range relativeLinks(name, text) {
			file, _, _ := strings.Cut(target, "#")
			linked[file] = true
		}
	}
	index := relativeLinks("docs/README.md", all["docs/README.md"])
	decisions := relativeLinks("docs/decisions/README.md", all["docs/decisions/README.md"])
	for name := range all {
		switch {
		case name == "docs/README.md":
			require.Contains(t, relativeLinks("README.md", all["README.md"]), name, "the README doesn't link to the index")
		case strings.HasPrefix(name, "docs/decisions/0"):
			require.Contains(t, decisions, name)
		case strings.Contains(name, "testdata"):
			require.True(t, linked[name] || linked[path.Dir(name)], "no page links to %s", name)
		default:
			require.Contains(t, index, name)
		}
	}
}

// Each page about a design decision says in its third line when the decision was made, and its
// status. docs/decisions/README.md must show the same date and status.
func TestDecisionsHaveDateAndStatus(t *testing.T) {
	t.Parallel()
	dated := regexp.MustCompile(`^# (.+)\n\nDecided on (\d{4}-\d\d-\d\d)(?:, changed on (\d{4}-\d\d-\d\d)[^.]*)?\. Status: ([^.]+)\.`)
	all := readPages(t)
	n := 0
	for name, text := range all {
		if !strings.HasPrefix(name, "docs/decisions/0") {
			continue
		}
		n++
		found := dated.FindStringSubmatch(text)
		require.NotNil(t, found, "%s: the third line is not \"Decided on DATE. Status: STATUS.\"", name)
		date := found[2]
		if found[3] != "" {
			date += ", changed " + found[3]
		}
		row := "| [" + found[1] + "](" + path.Base(name) + ") | " + date + " | " + found[4] + " |"
		require.Contains(t, all["docs/decisions/README.md"], row)
	}
	require.GreaterOrEqual(t, n, 13)
}

// TestContributingNamesPathsThatExist requires that each path in CONTRIBUTING.md that is written in
// backquotes exists.
func TestContributingNamesPathsThatExist(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../CONTRIBUTING.md")
	require.NoError(t, err)
	n := 0
	for _, span := range regexp.MustCompile("`[^`\n]+`").FindAllString(string(text), -1) {
		for word := range strings.FieldsSeq(strings.Trim(span, "`")) {
			if isPath := regexp.MustCompile(`^[a-z0-9_/]+(\.go|\.md|/)$|^(internal|gateway|cmd|docs|conformance|adapters)(/[a-z0-9_]+)*$`); !isPath.MatchString(word) {
				continue
			}
			n++
			if _, err := os.Stat(filepath.Join("..", word)); err != nil {
				t.Errorf("CONTRIBUTING.md names %s, which doesn't exist", word)
			}
		}
	}
	require.Greater(t, n, 40)
}

// TestGlossaryIsShort requires that the glossary in CONTRIBUTING.md has at most 20 entries.
func TestGlossaryIsShort(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../CONTRIBUTING.md")
	require.NoError(t, err)
	_, glossary, ok := strings.Cut(string(text), "| Word | Meaning |\n| --- | --- |\n")
	require.True(t, ok)
	glossary, _, _ = strings.Cut(glossary, "\n\n")
	require.LessOrEqual(t, strings.Count(strings.TrimSpace(glossary), "\n")+1, 20)
}
