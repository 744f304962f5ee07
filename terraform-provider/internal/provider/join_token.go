package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/boolplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"heddle.example/terraform-provider-heddle/internal/client"
)

// joinToken is what an Envoy presents to become a proxy of a service. Its secret is only in the answer that creates
// it, so nothing about it changes in place.
type joinToken struct {
	connection *connection
}

type joinTokenModel struct {
	Mesh         types.String `tfsdk:"mesh"`
	Name         types.String `tfsdk:"name"`
	Service      types.String `tfsdk:"service"`
	Reusable     types.Bool   `tfsdk:"reusable"`
	ExpiresIn    types.String `tfsdk:"expires_in"`
	RotateBefore types.String `tfsdk:"rotate_before"`
	ExpiresAt    types.String `tfsdk:"expires_at"`
	Secret       types.String `tfsdk:"secret"`
}

var (
	_ resource.ResourceWithConfigure   = (*joinToken)(nil)
	_ resource.ResourceWithImportState = (*joinToken)(nil)
	_ resource.ResourceWithModifyPlan  = (*joinToken)(nil)
)

func newJoinToken() resource.Resource { return &joinToken{} }

func (r *joinToken) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_join_token"
}

func (r *joinToken) Configure(_ context.Context, req resource.ConfigureRequest, _ *resource.ConfigureResponse) {
	r.connection, _ = req.ProviderData.(*connection)
}

func (r *joinToken) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "A join token: what an Envoy presents to become a proxy of a service. Its secret is shown once, when it is made, and kept in the state from then on: protect the state. An imported token has no secret.",
		Attributes: map[string]schema.Attribute{
			"mesh":    place("The mesh, by name. A change makes a new token."),
			"name":    place("Unique among the tokens of the mesh that are not revoked. A change makes a new token."),
			"service": place("The service that its proxies join, by name. A change makes a new token."),
			"reusable": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Whether several proxies may join with it. False when absent. A change makes a new token.",
				PlanModifiers: []planmodifier.Bool{boolplanmodifier.RequiresReplaceIf(
					func(_ context.Context, req planmodifier.BoolRequest, resp *boolplanmodifier.RequiresReplaceIfFuncResponse) {
						// Absent says the same as false.
						resp.RequiresReplace = req.StateValue.ValueBool() != req.PlanValue.ValueBool()
					}, "", "")},
			},
			"expires_in": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "After this no new proxy joins with it: 1 minute to 90 days (`2160h`). When absent, 1 hour, or 90 days if reusable. A change makes a new token.",
				PlanModifiers: []planmodifier.String{stringplanmodifier.RequiresReplaceIf(
					func(ctx context.Context, req planmodifier.StringRequest, resp *stringplanmodifier.RequiresReplaceIfFuncResponse) {
						// The server keeps when a token ends, not how long it was meant to live: after an import, which brings no
						// secret, there is nothing to compare with.
						var secret types.String
						resp.Diagnostics.Append(req.State.GetAttribute(ctx, path.Root("secret"), &secret)...)
						resp.RequiresReplace = !req.StateValue.IsNull() || !secret.IsNull()
					}, "", "")},
			},
			"rotate_before": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Plans a new token when the present one ends sooner than this from now, for example `168h`. Absent: an ended token stays as it is.",
				Validators:          []validator.String{durationRule{}},
			},
			"expires_at": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "After this no new proxy joins with it.",
				PlanModifiers:       []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
			},
			"secret": schema.StringAttribute{
				Computed: true, Sensitive: true,
				MarkdownDescription: "The token itself.",
				PlanModifiers:       []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
			},
		},
	}
}

// ModifyPlan plans a new token before the present one ends.
func (r *joinToken) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.State.Raw.IsNull() || req.Plan.Raw.IsNull() {
		return
	}
	var plan joinTokenModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() || plan.RotateBefore.ValueString() == "" {
		return
	}
	before, err := parseDuration(plan.RotateBefore.ValueString())
	if err != nil {
		return
	}
	ends, err := time.Parse(time.RFC3339, plan.ExpiresAt.ValueString())
	if err != nil || time.Until(ends) > before {
		return
	}
	plan.ExpiresAt, plan.Secret = types.StringUnknown(), types.StringUnknown()
	resp.Diagnostics.Append(resp.Plan.Set(ctx, &plan)...)
	resp.RequiresReplace = append(resp.RequiresReplace, path.Root("expires_at"))
}

func (r *joinToken) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan joinTokenModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() {
		return
	}
	wanted := client.CreateJoinToken{
		Name:      plan.Name.ValueString(),
		Service:   plan.Service.ValueString(),
		Reusable:  plan.Reusable.ValueBoolPointer(),
		ExpiresIn: plan.ExpiresIn.ValueStringPointer(),
	}
	body, err := json.Marshal(wanted)
	if err != nil {
		resp.Diagnostics.AddError("Cannot read the plan", err.Error())
		return
	}
	answer, err := r.connection.send(ctx, func() (*http.Response, error) {
		return r.connection.api.CreateJoinTokenWithBody(ctx, r.connection.org, plan.Mesh.ValueString(), jsonType, bytes.NewReader(body))
	})
	if problem := asProblem(err); problem != nil && problem.Code == codeAlreadyExists {
		at := []string{plan.Mesh.ValueString(), plan.Name.ValueString()}
		resp.Diagnostics.AddError("Exists already: join token "+strings.Join(at, "/"), importBlock(ctx, r.connection, "heddle_join_token", at))
		return
	}
	if err != nil {
		report(&resp.Diagnostics, "create the join token", err, req.Plan.Raw.Type())
		return
	}
	var created client.JoinToken
	if err := json.Unmarshal(answer.raw, &created); err != nil {
		resp.Diagnostics.AddError("Cannot read the join token", err.Error())
		return
	}
	plan.ExpiresAt = types.StringValue(text(answer, "expires_at"))
	plan.Secret = types.StringPointerValue(created.Secret)
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

// text is a field as the server wrote it.
func text(answer *reply, field string) string {
	value, _ := answer.body[field].(string)
	return value
}

func (r *joinToken) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state joinTokenModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	answer, err := r.connection.send(ctx, func() (*http.Response, error) {
		return r.connection.api.GetJoinToken(ctx, r.connection.org, state.Mesh.ValueString(), state.Name.ValueString())
	})
	if isNotFound(err) || err == nil && text(answer, "state") == "revoked" {
		resp.State.RemoveResource(ctx)
		return
	}
	if err != nil {
		report(&resp.Diagnostics, "read the join token", err, req.State.Raw.Type())
		return
	}
	state.Name = types.StringValue(text(answer, "name"))
	state.Service = types.StringValue(text(answer, "service"))
	if reusable, _ := answer.body["reusable"].(bool); reusable || !state.Reusable.IsNull() {
		state.Reusable = types.BoolValue(reusable)
	}
	if ends := text(answer, "expires_at"); ends != state.ExpiresAt.ValueString() {
		// Another token of the same name: the secret that Terraform knows is not its.
		if !state.ExpiresAt.IsNull() {
			resp.State.RemoveResource(ctx)
			return
		}
		state.ExpiresAt = types.StringValue(ends)
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
}

// Update has nothing to tell the server: only what it never kept changes in place.
func (r *joinToken) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan joinTokenModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if plan.Secret.IsUnknown() {
		plan.Secret = types.StringNull()
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

func (r *joinToken) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state joinTokenModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	_, err := r.connection.send(ctx, func() (*http.Response, error) {
		return r.connection.api.DeleteJoinToken(ctx, r.connection.org, state.Mesh.ValueString(), state.Name.ValueString())
	})
	if err != nil && !isNotFound(err) {
		report(&resp.Diagnostics, "revoke the join token", err, req.State.Raw.Type())
	}
}

func joinTokenRead(ctx context.Context, c *connection, at []string, _ io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
	return c.api.GetJoinToken(ctx, c.org, at[0], at[1], edit...)
}

// ImportState takes org/mesh/name.
func (r *joinToken) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	places := []string{"mesh", "name"}
	parts, err := splitImport(ctx, r.connection, req.ID, places, &kind{
		name: "join_token", noun: "join token",
		read: joinTokenRead,
	})
	if err != nil {
		resp.Diagnostics.AddError("Cannot import the join token", err.Error())
		return
	}
	for i, name := range places {
		resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root(name), parts[i])...)
	}
}
