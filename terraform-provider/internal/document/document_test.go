package document

import (
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

const sample = `{
  "paths": {"/things/{thing}": {
    "parameters": [],
    "put": {"operationId": "put_thing", "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}}},
    "get": {"operationId": "get_thing"}
  }},
  "components": {"schemas": {
    "Name": {"type": "string", "pattern": "^[a-z]+$", "description": "A name."},
    "Kind": {"type": "string", "enum": ["big", "small"], "description": "How big."},
    "Settings": {"type": "object", "properties": {"timeout": {"type": ["string", "null"]}, "attempts": {"type": ["integer", "null"], "maximum": 3}}},
    "Thing": {"type": "object", "required": ["name", "ports"], "properties": {
      "name": {"$ref": "#/components/schemas/Name", "description": "Its name."},
      "kind": {"oneOf": [{"$ref": "#/components/schemas/Kind"}, {"type": "null"}]},
      "settings": {"oneOf": [{"$ref": "#/components/schemas/Settings"}, {"type": "null"}]},
      "labels": {"type": ["object", "null"], "additionalProperties": {"type": "string"}},
      "hosts": {"type": ["array", "null"], "items": {"$ref": "#/components/schemas/Name"}},
      "ports": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["port"], "properties": {"port": {"type": "integer"}}}},
      "meta": {"type": "object", "readOnly": true}
    }},
    "Union": {"type": "object", "properties": {"u": {"oneOf": [{"$ref": "#/components/schemas/Name"}, {"$ref": "#/components/schemas/Settings"}]}}},
    "Blob": {"type": "object", "properties": {"b": {"type": "object"}}}
  }}
}`

func parsed(t *testing.T) *Document {
	t.Helper()
	document, err := Parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	return document
}

func TestABodyBecomesTypedAttributes(t *testing.T) {
	document := parsed(t)
	body, err := document.Body("put_thing")
	if err != nil {
		t.Fatal(err)
	}
	attributes, err := document.Attributes(body)
	if err != nil {
		t.Fatal(err)
	}
	if _, found := attributes["meta"]; found || len(attributes) != 6 {
		t.Errorf("%d attributes, meta %v: what the server writes is none", len(attributes), found)
	}
	name := attributes["name"].(schema.StringAttribute)
	if !name.Required || name.MarkdownDescription != "Its name." || len(name.Validators) != 1 {
		t.Errorf("name: %+v", name)
	}
	kind := attributes["kind"].(schema.StringAttribute)
	if !kind.Optional || kind.MarkdownDescription != "How big. One of `big`, `small`." || len(kind.Validators) != 1 {
		t.Errorf("kind: %+v", kind)
	}
	settings := attributes["settings"].(schema.SingleNestedAttribute)
	if attempts := settings.Attributes["attempts"].(schema.Int64Attribute); !attempts.Optional || len(attempts.Validators) != 1 {
		t.Errorf("settings.attempts: %+v", attempts)
	}
	if labels := attributes["labels"].(schema.MapAttribute); labels.ElementType != types.StringType {
		t.Errorf("labels: %+v", labels)
	}
	if hosts := attributes["hosts"].(schema.ListAttribute); len(hosts.Validators) != 1 {
		t.Errorf("hosts: %+v", hosts)
	}
	ports := attributes["ports"].(schema.ListNestedAttribute)
	if !ports.Required || !ports.NestedObject.Attributes["port"].IsRequired() || len(ports.Validators) != 1 {
		t.Errorf("ports: %+v", ports)
	}
}

func TestWhatHasNoTypeIsRefused(t *testing.T) {
	document := parsed(t)
	for name, want := range map[string]string{"Union": "u: a union", "Blob": "b: an object of anything"} {
		_, err := document.Attributes(document.Components.Schemas[name])
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, operation := range []string{"get_thing", "none"} {
		if _, err := document.Body(operation); err == nil {
			t.Errorf("%s has a body", operation)
		}
	}
}
