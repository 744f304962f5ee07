// Package provider is the Terraform provider: resources and data sources over the generated client.
//
// One file for each resource says how the API is called; how objects are created, read, replaced, removed and imported
// is written once, in declared.go.
package provider

import (
	"context"
	"os"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// Address is the source address of the provider.
const Address = "heddle.example/heddle/heddle"

type heddle struct {
	version string
}

var _ provider.Provider = heddle{}

// New makes the provider of a version.
func New(version string) func() provider.Provider {
	return func() provider.Provider { return heddle{version: version} }
}

func (p heddle) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = "heddle"
	resp.Version = p.version
}

func (p heddle) Schema(_ context.Context, _ provider.SchemaRequest, resp *provider.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Manages meshes of Envoys in [Heddle](https://heddle.example): services, routes, splits, access rules, join tokens, service accounts with their roles and API tokens.",
		Attributes: map[string]schema.Attribute{
			"token": schema.StringAttribute{
				Optional: true, Sensitive: true,
				MarkdownDescription: "An API token. Better left out and given as `HEDDLE_TOKEN`.",
			},
			"org": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "The organisation, by name. `HEDDLE_ORG` when absent, and the token's own when that is empty too.",
			},
			"api_url": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Where the API is. `HEDDLE_API_URL` when absent.",
			},
		},
	}
}

func (p heddle) Configure(ctx context.Context, req provider.ConfigureRequest, resp *provider.ConfigureResponse) {
	var config struct {
		Token  types.String `tfsdk:"token"`
		Org    types.String `tfsdk:"org"`
		APIURL types.String `tfsdk:"api_url"`
	}
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	value := func(name string, given types.String, variable, otherwise string) string {
		switch {
		case given.IsUnknown():
			resp.Diagnostics.AddAttributeError(path.Root(name), "Not known yet",
				"The provider has to know `"+name+"` before it can plan. Set it to a value that no resource computes, or by the environment variable "+variable+".")
			return ""
		case given.ValueString() != "":
			return given.ValueString()
		case os.Getenv(variable) != "":
			return os.Getenv(variable)
		default:
			return otherwise
		}
	}
	token := value("token", config.Token, "HEDDLE_TOKEN", "")
	org := value("org", config.Org, "HEDDLE_ORG", "-")
	url := value("api_url", config.APIURL, "HEDDLE_API_URL", "")
	for name, missing := range map[string]bool{"token": token == "", "api_url": url == ""} {
		if missing && !resp.Diagnostics.HasError() {
			variable := map[string]string{"token": "HEDDLE_TOKEN", "api_url": "HEDDLE_API_URL"}[name]
			resp.Diagnostics.AddAttributeError(path.Root(name), "Missing", "Set the environment variable "+variable+" or `"+name+"`.")
		}
	}
	if resp.Diagnostics.HasError() {
		return
	}
	connection, err := connect(url, token, org, p.version)
	if err != nil {
		resp.Diagnostics.AddAttributeError(path.Root("api_url"), "Not an address", err.Error())
		return
	}
	resp.ResourceData = connection
	resp.DataSourceData = connection
}

func (p heddle) Resources(context.Context) []func() resource.Resource {
	var all []func() resource.Resource
	for _, kind := range kinds {
		all = append(all, func() resource.Resource { return &declared{kind: kind} })
	}
	return append(all, newJoinToken, newAPIToken, newRoleBinding)
}

func (p heddle) DataSources(context.Context) []func() datasource.DataSource {
	return []func() datasource.DataSource{newWhoami, newProxies, newBootstrap, newEffective}
}
