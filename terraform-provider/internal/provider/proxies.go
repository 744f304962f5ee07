package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

type proxiesSource struct {
	connection *connection
}

type proxiesModel struct {
	Mesh    types.String `tfsdk:"mesh"`
	Service types.String `tfsdk:"service"`
	Proxies []proxyModel `tfsdk:"proxies"`
}

type proxyModel struct {
	Name    string  `tfsdk:"name"`
	Service string  `tfsdk:"service"`
	Version *string `tfsdk:"version"`
	Mode    string  `tfsdk:"mode"`
	State   string  `tfsdk:"state"`
	Address *string `tfsdk:"address"`
}

func newProxies() datasource.DataSource { return &proxiesSource{} }

func (s *proxiesSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_proxies"
}

func (s *proxiesSource) Configure(_ context.Context, req datasource.ConfigureRequest, _ *datasource.ConfigureResponse) {
	s.connection, _ = req.ProviderData.(*connection)
}

func (s *proxiesSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "The Envoys of a mesh as they are now.",
		Attributes: map[string]schema.Attribute{
			"mesh":    schema.StringAttribute{Required: true, MarkdownDescription: "The mesh, by name.", Validators: nameRules()},
			"service": schema.StringAttribute{Optional: true, MarkdownDescription: "Only those of this service.", Validators: nameRules()},
			"proxies": schema.ListNestedAttribute{
				Computed: true, MarkdownDescription: "The proxies.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"name":    schema.StringAttribute{Computed: true, MarkdownDescription: "The Envoy's node id: unique within its service."},
					"service": schema.StringAttribute{Computed: true, MarkdownDescription: "The service that it serves."},
					"version": schema.StringAttribute{Computed: true, MarkdownDescription: "The version of the service that it runs."},
					"mode":    schema.StringAttribute{Computed: true, MarkdownDescription: "`managed`: its listeners come from Heddle. `augment`: it keeps its own."},
					"state":   schema.StringAttribute{Computed: true, MarkdownDescription: "`connecting`, `ready` (every type acknowledged the mesh's current revision), `stale`, `nacked` or `offline`."},
					"address": schema.StringAttribute{Computed: true, MarkdownDescription: "Where other proxies reach it; null in the mode `augment`."},
				}},
			},
		},
	}
}

func (s *proxiesSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var model proxiesModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &model)...)
	if resp.Diagnostics.HasError() {
		return
	}
	model.Proxies = []proxyModel{}
	for cursor := ""; ; {
		values := url.Values{"limit": {"500"}}
		if cursor != "" {
			values.Set("cursor", cursor)
		}
		answer, err := s.connection.send(ctx, func() (*http.Response, error) {
			return s.connection.api.ListProxies(ctx, s.connection.org, model.Mesh.ValueString(), query(values))
		})
		if err != nil {
			report(&resp.Diagnostics, "list the proxies", err, req.Config.Raw.Type())
			return
		}
		next, err := model.add(answer)
		if err != nil {
			resp.Diagnostics.AddError("Cannot list the proxies", err.Error())
			return
		}
		if next == "" {
			break
		}
		cursor = next
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &model)...)
}

// add takes one page in, and says where the next one begins.
func (m *proxiesModel) add(page *reply) (string, error) {
	// Only what the model shows is read: the rest may change its shape.
	var list struct {
		Items []struct {
			Name    string  `json:"name"`
			Service string  `json:"service"`
			Version *string `json:"version"`
			Mode    string  `json:"mode"`
			State   string  `json:"state"`
			Address *string `json:"address"`
		} `json:"items"`
		NextCursor string `json:"next_cursor"`
	}
	if err := json.Unmarshal(page.raw, &list); err != nil {
		return "", fmt.Errorf("read the answer: %w", err)
	}
	for _, item := range list.Items {
		if m.Service.IsNull() || m.Service.ValueString() == item.Service {
			m.Proxies = append(m.Proxies, proxyModel(item))
		}
	}
	return list.NextCursor, nil
}
