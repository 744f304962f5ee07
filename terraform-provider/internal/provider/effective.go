package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"heddle.example/terraform-provider-heddle/internal/wire"
)

type effectiveSource struct {
	connection *connection
}

func newEffective() datasource.DataSource { return &effectiveSource{} }

func (s *effectiveSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_effective"
}

func (s *effectiveSource) Configure(_ context.Context, req datasource.ConfigureRequest, _ *datasource.ConfigureResponse) {
	s.connection, _ = req.ProviderData.(*connection)
}

func (s *effectiveSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	// A profile may set everything there is to set.
	attributes, err := attributesOf(profile.body)
	if err != nil {
		resp.Diagnostics.AddError("Cannot read the shape of settings", err.Error())
		return
	}
	settings, ok := attributes["settings"].GetType().(types.ObjectType)
	if !ok {
		resp.Diagnostics.AddError("Cannot read the shape of settings", "they are no object")
		return
	}
	computed := func(about string) schema.Attribute {
		return schema.StringAttribute{Computed: true, MarkdownDescription: about}
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "The settings in force for a service or a route, and who set each: the level closest to the call wins, field by field.",
		Attributes: map[string]schema.Attribute{
			"mesh":    schema.StringAttribute{Required: true, MarkdownDescription: "The mesh, by name.", Validators: nameRules()},
			"service": schema.StringAttribute{Required: true, MarkdownDescription: "The service that is called, by name.", Validators: nameRules()},
			"route":   schema.StringAttribute{Optional: true, MarkdownDescription: "The route of it that takes the call, by name. Absent: a call that no route takes.", Validators: nameRules()},
			"caller":  schema.StringAttribute{Optional: true, MarkdownDescription: "The service whose calls are meant, by name. Absent: whoever makes no exception for itself.", Validators: nameRules()},
			"settings": schema.ObjectAttribute{
				Computed: true, AttributeTypes: settings.AttrTypes,
				MarkdownDescription: "Every setting, with the names and types that `settings` of a `heddle_profile` has: `settings.retries.attempts`. Null where there is none.",
			},
			"from": schema.MapNestedAttribute{
				Computed: true, MarkdownDescription: "Who set it, for every setting by its whole name: `from[\"retries.attempts\"].level`.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"level":    computed("The level that won: `built_in`, `mesh`, `profile`, `service`, `route` or `upstream`, which is an exception of the caller's."),
					"kind":     computed("The kind of the object that says so; null if it is built in."),
					"name":     computed("The name of that object; null if it is built in."),
					"revision": schema.Int64Attribute{Computed: true, MarkdownDescription: "The revision of the mesh that wrote that object; null if it is built in."},
				}},
			},
		},
	}
}

func (s *effectiveSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	encoded, err := wire.Encode(req.Config.Raw)
	asked, ok := encoded.(map[string]any)
	if err != nil || !ok {
		resp.Diagnostics.AddError("Cannot read the configuration", fmt.Sprint(err))
		return
	}
	given := func(name string) string {
		text, _ := asked[name].(string)
		return text
	}
	values := url.Values{}
	if caller := given("caller"); caller != "" {
		values.Set("caller", caller)
	}
	answer, err := s.connection.send(ctx, func() (*http.Response, error) {
		if route := given("route"); route != "" {
			return s.connection.api.GetEffectiveRoute(ctx, s.connection.org, given("mesh"), given("service"), route, query(values))
		}
		return s.connection.api.GetEffectiveService(ctx, s.connection.org, given("mesh"), given("service"), query(values))
	})
	if err != nil {
		report(&resp.Diagnostics, "read the settings in force", err, req.Config.Raw.Type())
		return
	}
	asked["settings"], asked["from"], err = inForce(answer.raw)
	if err == nil {
		resp.State.Raw, err = wire.Decode(asked, resp.State.Schema.Type().TerraformType(ctx))
	}
	if err != nil {
		resp.Diagnostics.AddError("Cannot read the settings in force", "The server answered with a shape that this version of the provider does not know: "+err.Error())
	}
}

// inForce are the settings as an object, as they would be written, and who set each.
func inForce(raw []byte) (settings, from map[string]any, err error) {
	var answer struct {
		Items []struct {
			Field string         `json:"field"`
			Value any            `json:"value"`
			From  map[string]any `json:"from"`
		} `json:"items"`
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&answer); err != nil {
		return nil, nil, err
	}
	settings, from = map[string]any{}, map[string]any{}
	for _, item := range answer.Items {
		from[item.Field] = item.From
		steps := strings.Split(item.Field, ".")
		at := settings
		for _, step := range steps[:len(steps)-1] {
			inner, ok := at[step].(map[string]any)
			if !ok {
				inner = map[string]any{}
				at[step] = inner
			}
			at = inner
		}
		at[steps[len(steps)-1]] = item.Value
	}
	return settings, from, nil
}
