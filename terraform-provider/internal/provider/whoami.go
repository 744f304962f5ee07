package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// whoami is the answer about a token.
type whoami struct {
	Org struct {
		Name string `json:"name"`
		UID  string `json:"uid"`
	} `json:"org"`
	Role        string   `json:"role"`
	Permissions []string `json:"permissions"`
}

type whoamiSource struct {
	connection *connection
}

func newWhoami() datasource.DataSource { return &whoamiSource{} }

func (s *whoamiSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_whoami"
}

func (s *whoamiSource) Configure(_ context.Context, req datasource.ConfigureRequest, _ *datasource.ConfigureResponse) {
	s.connection, _ = req.ProviderData.(*connection)
}

func (s *whoamiSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Whose the provider's token is, and what it may do.",
		Attributes: map[string]schema.Attribute{
			"org":         schema.StringAttribute{Computed: true, MarkdownDescription: "The organisation, by name."},
			"org_uid":     schema.StringAttribute{Computed: true, MarkdownDescription: "The organisation's id."},
			"role":        schema.StringAttribute{Computed: true, MarkdownDescription: "The token's role."},
			"permissions": schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "What the token may do."},
		},
	}
}

func (s *whoamiSource) Read(ctx context.Context, _ datasource.ReadRequest, resp *datasource.ReadResponse) {
	me, err := s.connection.own(ctx)
	if err != nil {
		report(&resp.Diagnostics, "read who the token is", err, nil)
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, struct {
		Org         string   `tfsdk:"org"`
		OrgUID      string   `tfsdk:"org_uid"`
		Role        string   `tfsdk:"role"`
		Permissions []string `tfsdk:"permissions"`
	}{me.Org.Name, me.Org.UID, me.Role, me.Permissions})...)
}
