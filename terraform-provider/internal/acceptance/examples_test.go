package acceptance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const examples = "../../examples"

// example is the configuration of these resources, in a mesh of its own: what the documentation shows is what is
// applied.
func example(t *testing.T, mesh string, kinds ...string) string {
	t.Helper()
	text := read(t, filepath.Join(examples, "provider/provider.tf"))
	for _, kind := range kinds {
		directory, file := "resources", "resource.tf"
		if name, ok := strings.CutPrefix(kind, "data."); ok {
			kind, directory, file = name, "data-sources", "data-source.tf"
		}
		text += read(t, filepath.Join(examples, directory, "heddle_"+kind, file))
	}
	return strings.ReplaceAll(text, `"prod"`+"\n", `"`+mesh+`"`+"\n")
}

// importID is the id that the documentation imports by, in this mesh.
func importID(t *testing.T, mesh, kind string) string {
	t.Helper()
	words := strings.Fields(read(t, filepath.Join(examples, "resources", "heddle_"+kind, "import.sh")))
	id := words[len(words)-1]
	return strings.Replace(id, "acme/prod", org+"/"+mesh, 1)
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// edit replaces what must be there.
func edit(t *testing.T, text, old, with string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("%q is not in:\n%s", old, text)
	}
	return strings.Replace(text, old, with, 1)
}

func dashed(kind string) string { return strings.ReplaceAll(kind, "_", "-") }
