package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/boolvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/boolplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/setplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"heddle.example/terraform-provider-heddle/internal/client"
)

// rotatedKey is where it is kept when the token got the secret that Terraform knows.
const rotatedKey = "rotated_at"

// apiToken is what a program calls the API with. Whose it is and what it is narrowed to never changes; a new secret and a
// new end it gets in place, and the old secret works on for a while.
type apiToken struct {
	connection *connection
}

type apiTokenModel struct {
	Name           types.String `tfsdk:"name"`
	ServiceAccount types.String `tfsdk:"service_account"`
	Scopes         types.Set    `tfsdk:"scopes"`
	Meshes         types.Set    `tfsdk:"meshes"`
	ExpiresIn      types.String `tfsdk:"expires_in"`
	NeverExpires   types.Bool   `tfsdk:"never_expires"`
	RotateBefore   types.String `tfsdk:"rotate_before"`
	Overlap        types.String `tfsdk:"overlap"`
	ExpiresAt      types.String `tfsdk:"expires_at"`
	Secret         types.String `tfsdk:"secret"`
}

// shownToken is one as the API shows it.
type shownToken struct {
	Name  string `json:"name"`
	Owner *struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
	} `json:"owner"`
	Scopes    []string `json:"scopes"`
	Meshes    []string `json:"meshes"`
	ExpiresAt *string  `json:"expires_at"`
	State     string   `json:"state"`
	Secret    *string  `json:"secret"`
	Meta      struct {
		UID       string  `json:"uid"`
		RotatedAt *string `json:"rotated_at"`
	} `json:"meta"`
}

var (
	_ resource.ResourceWithConfigure   = (*apiToken)(nil)
	_ resource.ResourceWithImportState = (*apiToken)(nil)
	_ resource.ResourceWithModifyPlan  = (*apiToken)(nil)
)

func newAPIToken() resource.Resource { return &apiToken{} }

func (r *apiToken) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_api_token"
}

func (r *apiToken) Configure(_ context.Context, req resource.ConfigureRequest, _ *resource.ConfigureResponse) {
	r.connection, _ = req.ProviderData.(*connection)
}

func (r *apiToken) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	owner, ok := place("The service account that it is for, by name; the caller's own token when absent. A change makes a new token.").(schema.StringAttribute)
	if !ok {
		resp.Diagnostics.AddError("Cannot say the shape of an API token", "a place is no text")
		return
	}
	owner.Required, owner.Optional = false, true
	set := func(about string, of ...validator.String) schema.Attribute {
		return schema.SetAttribute{
			Optional: true, ElementType: types.StringType, MarkdownDescription: about + " A change makes a new token.",
			PlanModifiers: []planmodifier.Set{setplanmodifier.RequiresReplace()},
			Validators:    []validator.Set{setvalidator.SizeBetween(1, 64), setvalidator.ValueStringsAre(of...)},
		}
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "An API token of a service account, or the caller's own. Its secret is shown once, when it is made or rotated, and kept in the state from then on: protect the state. " +
			"An imported token has no secret (null) until it is rotated: by `rotate_before`, by a change of `expires_in`, or by somebody else. The first `expires_in` after an import is taken as the one that it was made with.",
		Attributes: map[string]schema.Attribute{
			"name":            place("Unique among the organisation's tokens that are not revoked. A change makes a new token."),
			"service_account": owner,
			"scopes":          set("The permissions that it is narrowed to, for example `config:write`; all that its owner has when absent."),
			"meshes":          set("The meshes that it is narrowed to, by name; all that its owner reaches when absent.", nameRules()...),
			"expires_in": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "When it stops working: 1 minute to 366 days (`8784h`) after it was made or rotated. 90 days when absent. A change rotates it.",
				Validators:          []validator.String{durationRule{}},
			},
			"never_expires": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "That it works until it is revoked; for service accounts only, and without `expires_in`. False when absent. A change makes a new token.",
				PlanModifiers: []planmodifier.Bool{boolplanmodifier.RequiresReplaceIf(
					func(_ context.Context, req planmodifier.BoolRequest, resp *boolplanmodifier.RequiresReplaceIfFuncResponse) {
						// Absent says the same as false.
						resp.RequiresReplace = req.StateValue.ValueBool() != req.PlanValue.ValueBool()
					}, "", "")},
				Validators: []validator.Bool{boolvalidator.ConflictsWith(path.MatchRoot("expires_in"))},
			},
			"rotate_before": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Rotates it in the first run in which it ends sooner than this from now, for example `168h`. Absent: an ended token stays as it is.",
				Validators:          []validator.String{durationRule{}},
			},
			"overlap": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "For how long the old secret works on when it is rotated: at most 7 days (`168h`); `24h` when absent, `0s` for not at all.",
				Validators:          []validator.String{durationRule{}},
			},
			"expires_at": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "When it stops working; null if it never does.",
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

// ModifyPlan plans a new secret: before the present one ends, for another lifetime, and when somebody else made one.
func (r *apiToken) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.State.Raw.IsNull() || req.Plan.Raw.IsNull() {
		return
	}
	var state, plan apiTokenModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() || !plan.rotates(&state, keptText(ctx, req.Private, rotatedKey) == lost) {
		return
	}
	plan.ExpiresAt, plan.Secret = types.StringUnknown(), types.StringUnknown()
	resp.Diagnostics.Append(resp.Plan.Set(ctx, &plan)...)
}

// lost stands in place of a time: the secret that Terraform knew is not the token's any more.
const lost = "lost"

func (m *apiTokenModel) rotates(state *apiTokenModel, lost bool) bool {
	if lost {
		return true
	}
	// The server keeps when a token ends, not how long it was meant to live: after an import there is nothing to compare
	// with.
	imported := state.Secret.IsNull() && state.ExpiresIn.IsNull()
	if !imported && !m.ExpiresIn.IsUnknown() && !m.ExpiresIn.Equal(state.ExpiresIn) {
		return true
	}
	before, err := parseDuration(m.RotateBefore.ValueString())
	if err != nil {
		return false
	}
	ends, err := time.Parse(time.RFC3339, state.ExpiresAt.ValueString())
	return err == nil && time.Until(ends) <= before
}

func (r *apiToken) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan apiTokenModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() {
		return
	}
	wanted := client.CreateApiToken{
		Name:           plan.Name.ValueString(),
		ServiceAccount: plan.ServiceAccount.ValueStringPointer(),
		ExpiresIn:      plan.ExpiresIn.ValueStringPointer(),
		NeverExpires:   plan.NeverExpires.ValueBoolPointer(),
		Scopes:         words(plan.Scopes),
		Meshes:         words(plan.Meshes),
	}
	answer, err := r.connection.send(ctx, func() (*http.Response, error) {
		return r.connection.api.CreateTokenWithBody(ctx, r.connection.org, jsonType, jsonBody(wanted))
	})
	if problem := asProblem(err); problem != nil && problem.Code == codeAlreadyExists {
		at := []string{wanted.Name}
		resp.Diagnostics.AddError("Exists already: API token "+wanted.Name, importBlock(ctx, r.connection, "heddle_api_token", at))
		return
	}
	if err != nil {
		nameWords(asProblem(err), map[string]*[]string{"scopes": wanted.Scopes, "meshes": wanted.Meshes})
		report(&resp.Diagnostics, "create the API token", err, req.Plan.Raw.Type())
		return
	}
	shown, err := plan.take(answer)
	if err != nil {
		resp.Diagnostics.AddError("Cannot read the API token", err.Error())
		return
	}
	resp.Diagnostics.Append(keepText(ctx, resp.Private, uidKey, shown.Meta.UID)...)
	resp.Diagnostics.Append(keepText(ctx, resp.Private, rotatedKey, value(shown.Meta.RotatedAt))...)
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

// take takes the secret and the end from the answer that has them.
func (m *apiTokenModel) take(answer *reply) (*shownToken, error) {
	var shown shownToken
	if err := json.Unmarshal(answer.raw, &shown); err != nil {
		return nil, err
	}
	m.ExpiresAt = types.StringPointerValue(shown.ExpiresAt)
	m.Secret = types.StringPointerValue(shown.Secret)
	return &shown, nil
}

func value(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// words are the members of a set; nil when there is none.
func words(set types.Set) *[]string {
	if set.IsNull() {
		return nil
	}
	var list []string
	for _, element := range set.Elements() {
		if word, ok := element.(types.String); ok {
			list = append(list, word.ValueString())
		}
	}
	return &list
}

var memberPointer = regexp.MustCompile(`^/([a-z_]+)/([0-9]+)$`)

// nameWords says which word of a set a violation is about: a set has no positions.
func nameWords(problem *problem, sent map[string]*[]string) {
	if problem == nil || problem.Errors == nil {
		return
	}
	for i, violation := range *problem.Errors {
		match := memberPointer.FindStringSubmatch(violation.Pointer)
		if match == nil || sent[match[1]] == nil {
			continue
		}
		if at, err := strconv.Atoi(match[2]); err == nil && at < len(*sent[match[1]]) {
			(*problem.Errors)[i].Detail = fmt.Sprintf("`%s`: %s", (*sent[match[1]])[at], violation.Detail)
		}
	}
}

func (r *apiToken) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state apiTokenModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	uid, imported := keptText(ctx, req.Private, uidKey), false
	if uid == "" {
		uid, imported = state.Name.ValueString(), true
	}
	answer, err := r.connection.send(ctx, func() (*http.Response, error) {
		return r.connection.api.GetToken(ctx, r.connection.org, uid)
	})
	// By its identifier a revoked one is still shown, and another of the same name is not.
	if isNotFound(err) || err == nil && text(answer, "state") == "revoked" {
		resp.State.RemoveResource(ctx)
		return
	}
	if err != nil {
		report(&resp.Diagnostics, "read the API token", err, req.State.Raw.Type())
		return
	}
	var shown shownToken
	if err := json.Unmarshal(answer.raw, &shown); err != nil {
		resp.Diagnostics.AddError("Cannot read the API token", err.Error())
		return
	}
	if err := r.refresh(ctx, &state, &shown); err != nil {
		report(&resp.Diagnostics, "read the meshes of the API token", err, nil)
		return
	}
	rotated, known := value(shown.Meta.RotatedAt), keptText(ctx, req.Private, rotatedKey)
	if !imported && known != rotated {
		// Somebody else has the secret now.
		state.Secret, rotated = types.StringNull(), lost
	}
	resp.Diagnostics.Append(keepText(ctx, resp.Private, uidKey, shown.Meta.UID)...)
	resp.Diagnostics.Append(keepText(ctx, resp.Private, rotatedKey, rotated)...)
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
}

// refresh takes everything that the API shows.
func (r *apiToken) refresh(ctx context.Context, state *apiTokenModel, shown *shownToken) error {
	state.Name = types.StringValue(shown.Name)
	state.ServiceAccount = types.StringNull()
	if shown.Owner != nil && shown.Owner.Kind == "service_account" {
		state.ServiceAccount = types.StringValue(shown.Owner.Name)
	}
	state.ExpiresAt = types.StringPointerValue(shown.ExpiresAt)
	if never := shown.ExpiresAt == nil; never || !state.NeverExpires.IsNull() {
		state.NeverExpires = types.BoolValue(never)
	}
	state.Scopes = setOf(shown.Scopes)
	var names []string
	for _, uid := range shown.Meshes {
		answer, err := r.connection.send(ctx, func() (*http.Response, error) {
			return r.connection.api.GetMesh(ctx, r.connection.org, uid)
		})
		switch {
		case err == nil:
			names = append(names, text(answer, "name"))
		case isNotFound(err):
			// A mesh that was deleted; one of the same name would not be it.
			names = append(names, uid)
		default:
			return err
		}
	}
	state.Meshes = setOf(names)
	return nil
}

// setOf is null for nil.
func setOf(words []string) types.Set {
	if words == nil {
		return types.SetNull(types.StringType)
	}
	set, _ := types.SetValueFrom(context.Background(), types.StringType, words)
	return set
}

// Update rotates the token if a new secret is planned. All else that changes in place, only Terraform knows.
func (r *apiToken) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan apiTokenModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if plan.Secret.IsUnknown() {
		uid := keptText(ctx, req.Private, uidKey)
		wanted := client.RotateApiToken{ExpiresIn: plan.ExpiresIn.ValueStringPointer(), Overlap: plan.Overlap.ValueStringPointer()}
		answer, err := r.connection.send(ctx, func() (*http.Response, error) {
			return r.connection.api.CreateTokenRotationWithBody(ctx, r.connection.org, uid, jsonType, jsonBody(wanted))
		})
		if err != nil {
			report(&resp.Diagnostics, "rotate the API token", err, req.Plan.Raw.Type())
			return
		}
		shown, err := plan.take(answer)
		if err != nil {
			resp.Diagnostics.AddError("Cannot read the API token", err.Error())
			return
		}
		resp.Diagnostics.Append(keepText(ctx, resp.Private, rotatedKey, value(shown.Meta.RotatedAt))...)
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

func (r *apiToken) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state apiTokenModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	uid := keptText(ctx, req.Private, uidKey)
	if uid == "" {
		uid = state.Name.ValueString()
	}
	_, err := r.connection.send(ctx, func() (*http.Response, error) {
		return r.connection.api.DeleteToken(ctx, r.connection.org, uid)
	})
	if err != nil && !isNotFound(err) {
		report(&resp.Diagnostics, "revoke the API token", err, req.State.Raw.Type())
	}
}

// ImportState takes org/name.
func (r *apiToken) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	parts, err := splitImport(ctx, r.connection, req.ID, []string{"name"}, &kind{
		name: "api_token", noun: "API token",
		read: func(ctx context.Context, c *connection, at []string, _ io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
			return c.api.GetToken(ctx, c.org, at[0], edit...)
		},
	})
	if err != nil {
		resp.Diagnostics.AddError("Cannot import the API token", err.Error())
		return
	}
	resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root("name"), parts[0])...)
}
