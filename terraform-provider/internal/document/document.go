// Package document reads the shapes of bodies from the API's OpenAPI document and says them as Terraform attributes:
// typed and nested, with the same names, so that a field that the API gains is an attribute of the next build and no
// table has to be kept in step by hand.
package document

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Document is an OpenAPI 3.1 document.
type Document struct {
	Paths      map[string]map[string]json.RawMessage `json:"paths"`
	Components struct {
		Schemas map[string]*Schema `json:"schemas"`
	} `json:"components"`
}

// Schema is the part of JSON Schema that our document uses.
type Schema struct {
	Ref                  string             `json:"$ref"`
	Type                 Types              `json:"type"`
	Description          string             `json:"description"`
	OneOf                []*Schema          `json:"oneOf"`
	AnyOf                []*Schema          `json:"anyOf"`
	AllOf                []*Schema          `json:"allOf"`
	Properties           map[string]*Schema `json:"properties"`
	Required             []string           `json:"required"`
	Items                *Schema            `json:"items"`
	AdditionalProperties json.RawMessage    `json:"additionalProperties"`
	Enum                 []any              `json:"enum"`
	Pattern              string             `json:"pattern"`
	MinLength            *int               `json:"minLength"`
	MaxLength            *int               `json:"maxLength"`
	MinItems             *int               `json:"minItems"`
	MaxItems             *int               `json:"maxItems"`
	MinProperties        *int               `json:"minProperties"`
	MaxProperties        *int               `json:"maxProperties"`
	Minimum              *float64           `json:"minimum"`
	Maximum              *float64           `json:"maximum"`
	ReadOnly             bool               `json:"readOnly"`
}

// Types is one type or several.
type Types []string

// UnmarshalJSON reads a string or a list of strings.
func (t *Types) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*t = Types{one}
		return nil
	}
	var several []string
	if err := json.Unmarshal(text, &several); err != nil {
		return err
	}
	*t = several
	return nil
}

// Parse reads a document.
func Parse(text []byte) (*Document, error) {
	var document Document
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	return &document, nil
}

// Body is the schema of what an operation takes, resolved.
func (d *Document) Body(operation string) (*Schema, error) {
	type media struct {
		Schema *Schema `json:"schema"`
	}
	for _, item := range d.Paths {
		for method, raw := range item {
			if !slices.Contains([]string{"get", "put", "post", "patch", "delete"}, method) {
				continue
			}
			var found struct {
				ID   string `json:"operationId"`
				Body struct {
					Content map[string]media `json:"content"`
				} `json:"requestBody"`
			}
			if err := json.Unmarshal(raw, &found); err != nil {
				return nil, fmt.Errorf("read an operation: %w", err)
			}
			if found.ID == operation {
				body := found.Body.Content["application/json"].Schema
				if body == nil {
					return nil, fmt.Errorf("operation %s takes no JSON", operation)
				}
				return d.resolve(body)
			}
		}
	}
	return nil, fmt.Errorf("the document has no operation %s", operation)
}

// resolve follows references and unwraps "this or null"; a description beside a reference wins over its target's.
func (d *Document) resolve(schema *Schema) (*Schema, error) {
	description := schema.Description
	for range 16 {
		next, err := d.step(schema)
		if err != nil {
			return nil, err
		}
		if next == nil {
			resolved := *schema
			if description != "" {
				resolved.Description = description
			}
			return &resolved, nil
		}
		schema = next
		if description == "" {
			description = schema.Description
		}
	}
	return nil, fmt.Errorf("a reference leads nowhere: %s", schema.Ref)
}

func (d *Document) step(schema *Schema) (*Schema, error) {
	if schema.Ref != "" {
		name := strings.TrimPrefix(schema.Ref, "#/components/schemas/")
		target := d.Components.Schemas[name]
		if target == nil {
			return nil, fmt.Errorf("the document has no schema %s", schema.Ref)
		}
		return target, nil
	}
	alternatives := slices.Concat(schema.OneOf, schema.AnyOf, schema.AllOf)
	alternatives = slices.DeleteFunc(alternatives, func(s *Schema) bool { return slices.Equal(s.Type, Types{"null"}) })
	switch len(alternatives) {
	case 0:
		return nil, nil
	case 1:
		return alternatives[0], nil
	default:
		return nil, fmt.Errorf("a union of %d schemas has no Terraform attribute: %q", len(alternatives), schema.Description)
	}
}

// kind is the one type beside null.
func (s *Schema) kind() string {
	for _, name := range s.Type {
		if name != "null" {
			return name
		}
	}
	return ""
}
