package document

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/mapvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// Attributes says the properties of an object as attributes, each under its own name.
func (d *Document) Attributes(object *Schema) (map[string]schema.Attribute, error) {
	attributes := make(map[string]schema.Attribute, len(object.Properties))
	for name, property := range object.Properties {
		resolved, err := d.resolve(property)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if resolved.ReadOnly {
			continue
		}
		attribute, err := d.attribute(resolved, slices.Contains(object.Required, name))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		attributes[name] = attribute
	}
	return attributes, nil
}

// attribute never computes and never defaults: what the user leaves out is null here and absent there.
func (d *Document) attribute(s *Schema, required bool) (schema.Attribute, error) {
	optional, text := !required, describe(s)
	switch s.kind() {
	case "string":
		return schema.StringAttribute{Required: required, Optional: optional, MarkdownDescription: text, Validators: stringRules(s)}, nil
	case "boolean":
		return schema.BoolAttribute{Required: required, Optional: optional, MarkdownDescription: text}, nil
	case "integer":
		return schema.Int64Attribute{Required: required, Optional: optional, MarkdownDescription: text, Validators: integerRules(s)}, nil
	case "number":
		return schema.Float64Attribute{Required: required, Optional: optional, MarkdownDescription: text}, nil
	case "array":
		return d.list(s, required)
	case "object":
		return d.object(s, required)
	default:
		return nil, fmt.Errorf("the type %v has no attribute", s.Type)
	}
}

func (d *Document) list(s *Schema, required bool) (schema.Attribute, error) {
	if s.Items == nil {
		return nil, fmt.Errorf("a list of nothing in particular: %q", s.Description)
	}
	item, err := d.resolve(s.Items)
	if err != nil {
		return nil, err
	}
	rules := listRules(s)
	if item.kind() == "object" && len(item.Properties) > 0 {
		nested, err := d.Attributes(item)
		if err != nil {
			return nil, err
		}
		return schema.ListNestedAttribute{
			Required: required, Optional: !required, MarkdownDescription: describe(s), Validators: rules,
			NestedObject: schema.NestedAttributeObject{Attributes: nested},
		}, nil
	}
	element, err := scalar(item)
	if err != nil {
		return nil, err
	}
	if of := stringRules(item); len(of) > 0 && element == types.StringType {
		rules = append(rules, listvalidator.ValueStringsAre(of...))
	}
	text := describe(s)
	if len(item.Enum) > 0 {
		text += " Each is one of " + enumerate(item.Enum) + "."
	}
	return schema.ListAttribute{
		Required: required, Optional: !required, ElementType: element, MarkdownDescription: text, Validators: rules,
	}, nil
}

func (d *Document) object(s *Schema, required bool) (schema.Attribute, error) {
	if len(s.Properties) > 0 {
		nested, err := d.Attributes(s)
		if err != nil {
			return nil, err
		}
		return schema.SingleNestedAttribute{
			Required: required, Optional: !required, MarkdownDescription: describe(s), Attributes: nested,
		}, nil
	}
	if string(s.AdditionalProperties) == "false" {
		// It says all there is to say by being there.
		return schema.SingleNestedAttribute{
			Required: required, Optional: !required, MarkdownDescription: describe(s), Attributes: map[string]schema.Attribute{},
		}, nil
	}
	var value Schema
	if len(s.AdditionalProperties) == 0 || json.Unmarshal(s.AdditionalProperties, &value) != nil {
		return nil, fmt.Errorf("an object of anything cannot be typed: %q", s.Description)
	}
	resolved, err := d.resolve(&value)
	if err != nil {
		return nil, err
	}
	var rules []validator.Map
	if s.MinProperties != nil {
		rules = append(rules, mapvalidator.SizeAtLeast(*s.MinProperties))
	}
	if s.MaxProperties != nil {
		rules = append(rules, mapvalidator.SizeAtMost(*s.MaxProperties))
	}
	if resolved.kind() == "object" && len(resolved.Properties) > 0 {
		nested, err := d.Attributes(resolved)
		if err != nil {
			return nil, err
		}
		return schema.MapNestedAttribute{
			Required: required, Optional: !required, MarkdownDescription: describe(s), Validators: rules,
			NestedObject: schema.NestedAttributeObject{Attributes: nested},
		}, nil
	}
	element, err := scalar(resolved)
	if err != nil {
		return nil, err
	}
	return schema.MapAttribute{
		Required: required, Optional: !required, ElementType: element, MarkdownDescription: describe(s), Validators: rules,
	}, nil
}

func scalar(s *Schema) (attr.Type, error) {
	switch s.kind() {
	case "string":
		return types.StringType, nil
	case "boolean":
		return types.BoolType, nil
	case "integer":
		return types.Int64Type, nil
	case "number":
		return types.Float64Type, nil
	default:
		return nil, fmt.Errorf("the type %v has no attribute", s.Type)
	}
}

func describe(s *Schema) string {
	text := strings.TrimSpace(s.Description)
	if len(s.Enum) > 0 {
		text += " One of " + enumerate(s.Enum) + "."
	}
	return strings.TrimSpace(text)
}

func enumerate(values []any) string {
	words := make([]string, len(values))
	for i, value := range values {
		words[i] = fmt.Sprintf("`%v`", value)
	}
	return strings.Join(words, ", ")
}

// stringRules are checked while planning, before anything is sent; what only the server can know, it says.
func stringRules(s *Schema) []validator.String {
	var rules []validator.String
	if len(s.Enum) > 0 {
		var words []string
		for _, value := range s.Enum {
			if word, ok := value.(string); ok {
				words = append(words, word)
			}
		}
		rules = append(rules, stringvalidator.OneOf(words...))
	}
	if s.Pattern != "" {
		if pattern, err := regexp.Compile(s.Pattern); err == nil {
			rules = append(rules, stringvalidator.RegexMatches(pattern, "must match "+s.Pattern))
		}
	}
	if s.MinLength != nil && *s.MinLength > 0 {
		rules = append(rules, stringvalidator.UTF8LengthAtLeast(*s.MinLength))
	}
	if s.MaxLength != nil {
		rules = append(rules, stringvalidator.UTF8LengthAtMost(*s.MaxLength))
	}
	return rules
}

func integerRules(s *Schema) []validator.Int64 {
	var rules []validator.Int64
	if s.Minimum != nil {
		rules = append(rules, int64validator.AtLeast(int64(math.Ceil(*s.Minimum))))
	}
	if s.Maximum != nil {
		rules = append(rules, int64validator.AtMost(int64(math.Floor(*s.Maximum))))
	}
	return rules
}

func listRules(s *Schema) []validator.List {
	var rules []validator.List
	if s.MinItems != nil && *s.MinItems > 0 {
		rules = append(rules, listvalidator.SizeAtLeast(*s.MinItems))
	}
	if s.MaxItems != nil {
		rules = append(rules, listvalidator.SizeAtMost(*s.MaxItems))
	}
	return rules
}
