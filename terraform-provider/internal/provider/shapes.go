package provider

import (
	"regexp"
	"sync"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"

	"heddle.example/terraform-provider-heddle/internal/client"
	"heddle.example/terraform-provider-heddle/internal/document"
)

var parsed = sync.OnceValues(func() (*document.Document, error) { return document.Parse(client.Document) })

// attributesOf are the fields of an operation's body.
func attributesOf(operation string) (map[string]schema.Attribute, error) {
	shapes, err := parsed()
	if err != nil {
		return nil, err
	}
	body, err := shapes.Body(operation)
	if err != nil {
		return nil, err
	}
	return shapes.Attributes(body)
}

var dnsLabel = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

func nameRules() []validator.String {
	return []validator.String{stringvalidator.RegexMatches(dnsLabel,
		"must be 1 to 63 lower-case letters, digits and hyphens, start with a letter and not end with a hyphen")}
}
