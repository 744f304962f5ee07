// Command pages writes a page for each resource and data source, in the layout that registries of providers read: from
// the schemas that the provider serves and the examples that the acceptance tests apply.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"heddle.example/terraform-provider-heddle/internal/provider"
)

func main() {
	examples := flag.String("examples", "examples", "the directory of the examples")
	out := flag.String("out", "docs", "where to write")
	flag.Parse()
	if err := run(*examples, *out); err != nil {
		fmt.Fprintln(os.Stderr, "pages:", err)
		os.Exit(1)
	}
}

func run(examples, out string) error {
	server, err := providerserver.NewProtocol6WithError(provider.New("docs")())()
	if err != nil {
		return err
	}
	schemas, err := server.GetProviderSchema(context.Background(), &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		return err
	}
	if err := write(out, "index.md", page("heddle provider", schemas.Provider, filepath.Join(examples, "provider"))); err != nil {
		return err
	}
	for directory, kinds := range map[string]map[string]*tfprotov6.Schema{"resources": schemas.ResourceSchemas, "data-sources": schemas.DataSourceSchemas} {
		for name, schema := range kinds {
			text := page(name, schema, filepath.Join(examples, directory, name))
			if err := write(filepath.Join(out, directory), strings.TrimPrefix(name, "heddle_")+".md", text); err != nil {
				return err
			}
		}
	}
	return nil
}

func write(directory, name, text string) error {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(directory, name), []byte(text), 0o644)
}

// page is one page; files that the directory of examples does not have have no section.
func page(title string, schema *tfprotov6.Schema, examples string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "---\npage_title: %q\n---\n\n# %s\n\n%s\n", title, title, schema.Block.Description)
	for _, section := range []struct{ heading, language, file string }{
		{"Example", "terraform", "*.tf"}, {"Import", "shell", "import.sh"},
	} {
		found, _ := filepath.Glob(filepath.Join(examples, section.file))
		for _, file := range found {
			content, err := os.ReadFile(file)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			fmt.Fprintf(&text, "\n## %s\n\n```%s\n%s```\n", section.heading, section.language, content)
		}
	}
	text.WriteString("\n## Arguments\n\n")
	list(&text, schema.Block.Attributes, "")
	return text.String()
}

// list says each attribute, what must be given first.
func list(text *strings.Builder, attributes []*tfprotov6.SchemaAttribute, indent string) {
	ranks := map[bool]int{true: 0, false: 1}
	sorted := slices.SortedFunc(slices.Values(attributes), func(a, b *tfprotov6.SchemaAttribute) int {
		return cmp.Or(cmp.Compare(ranks[a.Required], ranks[b.Required]), cmp.Compare(a.Name, b.Name))
	})
	for _, attribute := range sorted {
		var words []string
		for _, mark := range []struct {
			word  string
			holds bool
		}{
			{"required", attribute.Required}, {"optional", attribute.Optional},
			{"computed", attribute.Computed}, {"sensitive", attribute.Sensitive},
		} {
			if mark.holds {
				words = append(words, mark.word)
			}
		}
		description := strings.ReplaceAll(attribute.Description, "\n", " ")
		fmt.Fprintf(text, "%s- `%s` (%s) %s\n", indent, attribute.Name, strings.Join(words, ", "), description)
		if attribute.NestedType != nil {
			list(text, attribute.NestedType.Attributes, indent+"  ")
		}
	}
}
