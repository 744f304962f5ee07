package provider

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

type bootstrapSource struct {
	connection *connection
}

type bootstrapModel struct {
	Mesh             types.String `tfsdk:"mesh"`
	Service          types.String `tfsdk:"service"`
	Proxy            types.String `tfsdk:"proxy"`
	Version          types.String `tfsdk:"version"`
	BindAddress      types.String `tfsdk:"bind_address"`
	AdvertiseAddress types.String `tfsdk:"advertise_address"`
	AppAddress       types.String `tfsdk:"app_address"`
	InboundPort      types.Int64  `tfsdk:"inbound_port"`
	OutboundPort     types.Int64  `tfsdk:"outbound_port"`
	AdminAddress     types.String `tfsdk:"admin_address"`
	AdminPort        types.Int64  `tfsdk:"admin_port"`
	TokenFile        types.String `tfsdk:"token_file"`
	Mode             types.String `tfsdk:"mode"`
	KeepNode         types.Bool   `tfsdk:"keep_node"`
	YAML             types.String `tfsdk:"yaml"`
	JSON             types.String `tfsdk:"json"`
}

func newBootstrap() datasource.DataSource { return &bootstrapSource{} }

func (s *bootstrapSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_bootstrap"
}

func (s *bootstrapSource) Configure(_ context.Context, req datasource.ConfigureRequest, _ *datasource.ConfigureResponse) {
	s.connection, _ = req.ProviderData.(*connection)
}

func (s *bootstrapSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	text := func(about string) schema.Attribute {
		return schema.StringAttribute{Optional: true, MarkdownDescription: about}
	}
	port := func(about string) schema.Attribute {
		return schema.Int64Attribute{Optional: true, MarkdownDescription: about}
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "The bootstrap of an Envoy: `envoy -c` takes it as it is. It holds no secret: the Envoy reads its join token from a file, so this goes into user data or a task definition. With `mode = \"augment\"` it is an overlay, for an Envoy that keeps its own file: `envoy -c own.yaml --config-yaml \"$(cat overlay.yaml)\"`.",
		Attributes: map[string]schema.Attribute{
			"mesh":              schema.StringAttribute{Required: true, MarkdownDescription: "The mesh, by name.", Validators: nameRules()},
			"service":           schema.StringAttribute{Required: true, MarkdownDescription: "The service that the Envoy serves, by name.", Validators: nameRules()},
			"proxy":             schema.StringAttribute{Required: true, MarkdownDescription: "A name for this Envoy, unique within its service."},
			"version":           text("The version of the service that runs there."),
			"bind_address":      text("Where the Envoy listens; 0.0.0.0 when absent."),
			"advertise_address": text("Where other proxies reach it; required unless `bind_address` is given, or with `mode = \"augment\"`."),
			"app_address":       text("Where the application listens; 127.0.0.1 when absent."),
			"inbound_port":      port("The first inbound port; 15006 when absent."),
			"outbound_port":     port("Where the application sends its calls; 15001 when absent."),
			"admin_address":     text("Where Envoy's admin interface listens."),
			"admin_port":        port("The port of Envoy's admin interface; 15000 when absent."),
			"token_file":        text("Where the join token lies on the proxy's host; /etc/heddle/token when absent."),
			"mode":              text("`managed`, also when absent: a whole bootstrap, all listeners come from Heddle. `augment`: an overlay for an Envoy with a file of its own; attributes of listeners and of the admin interface do not go with it."),
			"keep_node":         schema.BoolAttribute{Optional: true, MarkdownDescription: "With `mode = \"augment\"`: `node.id` and `node.cluster` stay as the Envoy's own file says them."},
			"yaml":              schema.StringAttribute{Computed: true, MarkdownDescription: "The bootstrap as YAML."},
			"json":              schema.StringAttribute{Computed: true, MarkdownDescription: "The bootstrap as JSON."},
		},
	}
}

func (s *bootstrapSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var model bootstrapModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &model)...)
	if resp.Diagnostics.HasError() {
		return
	}
	values := model.query()
	for accept, into := range map[string]*types.String{jsonType: &model.JSON, "application/yaml": &model.YAML} {
		answer, err := s.connection.send(ctx, func() (*http.Response, error) {
			return s.connection.api.GetBootstrap(ctx, s.connection.org, model.Mesh.ValueString(), query(values), header("Accept", accept))
		})
		if err != nil {
			report(&resp.Diagnostics, "render the bootstrap", err, req.Config.Raw.Type())
			return
		}
		*into = types.StringValue(string(answer.raw))
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &model)...)
}

func (m *bootstrapModel) query() url.Values {
	values := url.Values{}
	for name, value := range map[string]types.String{
		"service": m.Service, "proxy": m.Proxy, "version": m.Version, "bind_address": m.BindAddress,
		"advertise_address": m.AdvertiseAddress, "app_address": m.AppAddress, "admin_address": m.AdminAddress,
		"token_file": m.TokenFile, "mode": m.Mode,
	} {
		if !value.IsNull() {
			values.Set(name, value.ValueString())
		}
	}
	for name, value := range map[string]types.Int64{
		"inbound_port": m.InboundPort, "outbound_port": m.OutboundPort, "admin_port": m.AdminPort,
	} {
		if !value.IsNull() {
			values.Set(name, value.String())
		}
	}
	if !m.KeepNode.IsNull() {
		values.Set("keep_node", strconv.FormatBool(m.KeepNode.ValueBool()))
	}
	return values
}
