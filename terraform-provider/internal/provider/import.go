package provider

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"

	"heddle.example/terraform-provider-heddle/internal/client"
)

// replaceIf replaces only the state that Terraform has seen; with none seen, whatever there is.
func (k *kind) replaceIf(etag string) call {
	if etag == "" {
		return k.replace
	}
	return func(ctx context.Context, c *connection, at []string, body io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return k.replace(ctx, c, at, body, append(edit, header("If-Match", etag))...)
	}
}

// ImportState takes an address for people: org/mesh/service/route. Each part after the organisation may also be an id.
func (r *declared) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	parts, err := splitImport(ctx, r.connection, req.ID, r.kind.places(), r.kind)
	if err != nil {
		resp.Diagnostics.AddError("Cannot import the "+r.kind.noun, err.Error())
		return
	}
	for i, name := range r.kind.places() {
		resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root(name), parts[i])...)
	}
}

// form is what an import id looks like: <org>/<mesh>/<service>.
func form(places []string, own string) string {
	words := []string{"<org>"}
	for _, place := range places {
		if place == "name" {
			place = own
		}
		words = append(words, "<"+place+">")
	}
	return strings.Join(words, "/")
}

// isOwn refuses an id of another organisation than the provider's.
func (c *connection) isOwn(ctx context.Context, id, named string) error {
	org, err := c.orgName(ctx)
	if err != nil {
		return err
	}
	if named != org && named != "-" {
		return fmt.Errorf("%q lies in the organisation %s, but the provider is configured for %s", id, named, org)
	}
	return nil
}

func splitImport(ctx context.Context, c *connection, id string, places []string, own *kind) ([]string, error) {
	parts := strings.Split(id, "/")
	if len(parts) == 1 && len(places) == 1 {
		// A name says enough of what lies right in the organisation.
		parts = []string{"-", id}
	}
	if len(parts) != len(places)+1 {
		return nil, fmt.Errorf("%q is not of the form %s", id, form(places, own.name))
	}
	if err := c.isOwn(ctx, id, parts[0]); err != nil {
		return nil, err
	}
	parts = parts[1:]
	for i, place := range places {
		of := own
		if place != "name" {
			of = find(place)
		}
		// A name has no underscore, an id has.
		if !strings.Contains(parts[i], "_") {
			continue
		}
		at := parts[:i+1]
		answer, err := c.send(ctx, func() (*http.Response, error) { return of.read(ctx, c, at, nil) })
		if err != nil {
			return nil, fmt.Errorf("read the %s %s: %w", of.noun, parts[i], err)
		}
		if name, ok := answer.body["name"].(string); ok {
			parts[i] = name
		}
	}
	return parts, nil
}

// importHelp is what to do about an object that exists already.
func (r *declared) importHelp(ctx context.Context, at []string) string {
	return importBlock(ctx, r.connection, "heddle_"+r.kind.name, at)
}

// noLabel is what a resource's own name in a configuration does not have.
var noLabel = regexp.MustCompile(`[^A-Za-z0-9_]`)

func importBlock(ctx context.Context, c *connection, kind string, at []string) string {
	org, err := c.orgName(ctx)
	if err != nil {
		org = "-"
	}
	label := noLabel.ReplaceAllString(at[len(at)-1], "_")
	return fmt.Sprintf("Creating never overwrites. To manage the present one from here, add this (`to` is the address of this resource) and apply again:\n\n"+
		"import {\n  to = %s.%s\n  id = \"%s/%s\"\n}", kind, label, org, strings.Join(at, "/"))
}
