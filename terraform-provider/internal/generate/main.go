// Command generate writes the Go client of the API from api/openapi.json. What it writes is built, not committed.
//
// The document is OpenAPI 3.1 and the generator of clients reads 3.0, so what 3.1 says in another way is said in the
// way of 3.0 first. The document itself is copied beside the client: the provider reads the shapes of objects from it.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oapi-codegen/oapi-codegen/v2/pkg/codegen"
)

func main() {
	document := flag.String("document", "../api/openapi.json", "the OpenAPI document")
	directory := flag.String("out", "internal/client", "the directory of the client")
	flag.Parse()
	if err := run(*document, *directory); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(document, directory string) error {
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	var tree map[string]any
	if err := json.Unmarshal(text, &tree); err != nil {
		return fmt.Errorf("parse %s: %w", document, err)
	}
	older, err := json.Marshal(Downgrade(tree))
	if err != nil {
		return err
	}
	spec, err := openapi3.NewLoader().LoadFromData(older)
	if err != nil {
		return fmt.Errorf("load %s as OpenAPI 3.0: %w", document, err)
	}
	code, err := codegen.Generate(spec, codegen.Configuration{
		PackageName: "client",
		Generate:    codegen.GenerateOptions{Client: true, Models: true},
		// A value may be called as something else is in the package: `client`.
		Compatibility: codegen.CompatibilityOptions{AlwaysPrefixEnumValues: true},
	})
	if err != nil {
		return fmt.Errorf("generate the client: %w", err)
	}
	for name, content := range map[string][]byte{"client.gen.go": []byte(code), "openapi.gen.json": text} {
		if err := write(filepath.Join(directory, name), content); err != nil {
			return err
		}
	}
	return nil
}

// write leaves a file alone that holds this content already, so that nothing is compiled again.
func write(path string, content []byte) error {
	if old, err := os.ReadFile(path); err == nil && string(old) == string(content) {
		return nil
	}
	return os.WriteFile(path, content, 0o644)
}
