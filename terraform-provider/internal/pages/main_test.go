package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryResourceHasAPageWithAnExampleAndHowToImport(t *testing.T) {
	out := t.TempDir()
	if err := run("../../examples", out); err != nil {
		t.Fatal(err)
	}
	for pattern, want := range map[string][]string{
		"index.md":          {"## Example", "`token` (optional, sensitive)"},
		"resources/*.md":    {"## Example", "## Import", "- `mesh` (required)|- `name` (required)|- `role` (required)"},
		"data-sources/*.md": {"## Example", "computed"},
	} {
		pages, err := filepath.Glob(filepath.Join(out, pattern))
		if err != nil || len(pages) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, page := range pages {
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			for _, alternatives := range want {
				found := false
				for _, one := range strings.Split(alternatives, "|") {
					found = found || strings.Contains(string(text), one)
				}
				if !found {
					t.Errorf("%s says nothing of %q", filepath.Base(page), alternatives)
				}
			}
		}
	}
}
