package acceptance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const examples = "../../examples"

// example is the configuration of these resources, in a mesh of its own and with an account of its own: what the
// documentation shows is what is applied.
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
	text = strings.ReplaceAll(text, `"prod"`+"\n", `"`+mesh+`"`+"\n")
	return strings.ReplaceAll(text, `= "deployer`, `= "`+mesh+`-deployer`)
}

// importID is the id that the documentation imports by, in this mesh.
func importID(t *testing.T, mesh, kind string) string {
	t.Helper()
	words := strings.Fields(read(t, filepath.Join(examples, "resources", "heddle_"+kind, "import.sh")))
	parts := strings.Split(words[len(words)-1], "/")
	for i, part := range parts {
		switch {
		case i == 0:
			parts[i] = org
		case part == "prod":
			parts[i] = mesh
		case strings.HasPrefix(part, "deployer"):
			parts[i] = mesh + "-" + part
		}
	}
	return strings.Join(parts, "/")
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
