package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework-validators/resourcevalidator"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"heddle.example/terraform-provider-heddle/internal/client"
)

// uidKey is where the identifier of what has no name is kept, or of what another may take the name of.
const uidKey = "uid"

// roleBinding is a role that somebody has. The API makes and removes them, and changes none.
type roleBinding struct {
	connection *connection
}

type roleBindingModel struct {
	Role           types.String `tfsdk:"role"`
	Member         types.String `tfsdk:"member"`
	ServiceAccount types.String `tfsdk:"service_account"`
	Mesh           types.String `tfsdk:"mesh"`
	Service        types.String `tfsdk:"service"`
}

// binding is one as the API shows it.
type binding struct {
	Role      string `json:"role"`
	Principal struct {
		Email string `json:"email"`
		Name  string `json:"name"`
	} `json:"principal"`
	Mesh *struct {
		Name string `json:"name"`
	} `json:"mesh"`
	Service *string `json:"service"`
	Meta    struct {
		UID string `json:"uid"`
	} `json:"meta"`
}

var (
	_ resource.ResourceWithConfigure        = (*roleBinding)(nil)
	_ resource.ResourceWithConfigValidators = (*roleBinding)(nil)
	_ resource.ResourceWithImportState      = (*roleBinding)(nil)
)

func newRoleBinding() resource.Resource { return &roleBinding{} }

func (r *roleBinding) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_role_binding"
}

func (r *roleBinding) Configure(_ context.Context, req resource.ConfigureRequest, _ *resource.ConfigureResponse) {
	r.connection, _ = req.ProviderData.(*connection)
}

func (r *roleBinding) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	attributes, err := attributesOf("create_role_binding")
	if err != nil {
		resp.Diagnostics.AddError("Cannot read the shape of a role binding", err.Error())
		return
	}
	for name, about := range map[string]string{
		"role":            "",
		"member":          "The member who gets it, by e-mail address. Exactly one of `member` and `service_account`.",
		"service_account": "The service account that gets it, by name.",
		"mesh":            "The mesh that it holds for, by name; the whole organisation when absent. `owner` is for the whole organisation only.",
		"service":         "The only service of the mesh that it is for, by name; all of them when absent. For `issuer` at a mesh.",
	} {
		attribute, ok := attributes[name].(schema.StringAttribute)
		if !ok {
			resp.Diagnostics.AddError("Cannot read the shape of a role binding", name+" is no text")
			return
		}
		if about == "" {
			about = attribute.MarkdownDescription
		}
		attribute.MarkdownDescription = about + " A change makes a new binding."
		attribute.PlanModifiers = []planmodifier.String{stringplanmodifier.RequiresReplace()}
		if name == "service_account" || name == "mesh" || name == "service" {
			attribute.Validators = nameRules()
		}
		attributes[name] = attribute
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "A role that a member or a service account has, in the whole organisation or at one mesh.",
		Attributes:          attributes,
	}
}

func (r *roleBinding) ConfigValidators(context.Context) []resource.ConfigValidator {
	return []resource.ConfigValidator{resourcevalidator.ExactlyOneOf(path.MatchRoot("member"), path.MatchRoot("service_account"))}
}

func (r *roleBinding) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan roleBindingModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() {
		return
	}
	wanted := client.CreateRoleBinding{
		Role:           client.Role(plan.Role.ValueString()),
		Member:         plan.Member.ValueStringPointer(),
		ServiceAccount: plan.ServiceAccount.ValueStringPointer(),
		Mesh:           plan.Mesh.ValueStringPointer(),
		Service:        plan.Service.ValueStringPointer(),
	}
	answer, err := r.connection.send(ctx, func() (*http.Response, error) {
		return r.connection.api.CreateRoleBindingWithBody(ctx, r.connection.org, jsonType, jsonBody(wanted))
	})
	if problem := asProblem(err); problem != nil && problem.Code == codeAlreadyExists {
		at := plan.address()
		resp.Diagnostics.AddError("Exists already: role binding "+strings.Join(at, "/"), importBlock(ctx, r.connection, "heddle_role_binding", at))
		return
	}
	if err != nil {
		report(&resp.Diagnostics, "give the role", err, req.Plan.Raw.Type())
		return
	}
	var made binding
	if err := json.Unmarshal(answer.raw, &made); err != nil {
		resp.Diagnostics.AddError("Cannot read the role binding", err.Error())
		return
	}
	resp.Diagnostics.Append(keepText(ctx, resp.Private, uidKey, made.Meta.UID)...)
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

// address is what tells it from all others: nobody has a role twice at the same place.
func (m *roleBindingModel) address() []string {
	whose := m.ServiceAccount.ValueString()
	if !m.Member.IsNull() {
		whose = m.Member.ValueString()
	}
	at := []string{m.Role.ValueString(), whose}
	if !m.Mesh.IsNull() {
		at = append(at, m.Mesh.ValueString())
	}
	if !m.Service.IsNull() {
		at = append(at, m.Service.ValueString())
	}
	return at
}

// address of one as the API shows it.
func (b *binding) address() []string {
	at := []string{b.Role, b.Principal.Name + b.Principal.Email}
	if b.Mesh != nil {
		at = append(at, b.Mesh.Name)
	}
	if b.Service != nil {
		at = append(at, *b.Service)
	}
	return at
}

// locate finds one by its identifier or by its address; nil when there is none.
func (r *roleBinding) locate(ctx context.Context, uid string, at []string) (*binding, error) {
	if uid != "" {
		answer, err := r.connection.send(ctx, func() (*http.Response, error) {
			return r.connection.api.GetRoleBinding(ctx, r.connection.org, uid)
		})
		if isNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		var found binding
		return &found, json.Unmarshal(answer.raw, &found)
	}
	values := url.Values{"limit": {"500"}}
	for {
		answer, err := r.connection.send(ctx, func() (*http.Response, error) {
			return r.connection.api.ListRoleBindings(ctx, r.connection.org, query(values))
		})
		if err != nil {
			return nil, err
		}
		var list struct {
			Items      []*binding `json:"items"`
			NextCursor string     `json:"next_cursor"`
		}
		if err := json.Unmarshal(answer.raw, &list); err != nil {
			return nil, fmt.Errorf("read the answer: %w", err)
		}
		for _, item := range list.Items {
			if slices.EqualFunc(item.address(), at, strings.EqualFold) {
				return item, nil
			}
		}
		if list.NextCursor == "" {
			return nil, nil
		}
		values.Set("cursor", list.NextCursor)
	}
}

func (r *roleBinding) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state roleBindingModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	found, err := r.locate(ctx, keptText(ctx, req.Private, uidKey), state.address())
	if err != nil {
		report(&resp.Diagnostics, "read the role binding", err, req.State.Raw.Type())
		return
	}
	if found == nil {
		resp.State.RemoveResource(ctx)
		return
	}
	resp.Diagnostics.Append(keepText(ctx, resp.Private, uidKey, found.Meta.UID)...)
	// None of it ever changes, but letters of an e-mail address may be written in either case.
	if !slices.EqualFunc(found.address(), state.address(), strings.EqualFold) {
		state = found.model()
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
}

func (b *binding) model() roleBindingModel {
	model := roleBindingModel{Role: types.StringValue(b.Role)}
	if b.Principal.Email != "" {
		model.Member = types.StringValue(b.Principal.Email)
	} else {
		model.ServiceAccount = types.StringValue(b.Principal.Name)
	}
	if b.Mesh != nil {
		model.Mesh = types.StringValue(b.Mesh.Name)
	}
	model.Service = types.StringPointerValue(b.Service)
	return model
}

// Update has nothing to do: every change makes a new one.
func (r *roleBinding) Update(_ context.Context, _ resource.UpdateRequest, resp *resource.UpdateResponse) {
	resp.Diagnostics.AddError("Cannot change a role binding", "A change makes a new one.")
}

func (r *roleBinding) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state roleBindingModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	found, err := r.locate(ctx, keptText(ctx, req.Private, uidKey), state.address())
	if err == nil && found != nil {
		_, err = r.connection.send(ctx, func() (*http.Response, error) {
			return r.connection.api.DeleteRoleBinding(ctx, r.connection.org, found.Meta.UID)
		})
	}
	if err != nil && !isNotFound(err) {
		report(&resp.Diagnostics, "take the role away", err, req.State.Raw.Type())
	}
}

// ImportState takes org/role/whose, with /mesh, and /service, where it is for that; or org/id.
func (r *roleBinding) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	found, err := r.imported(ctx, req.ID)
	if err != nil {
		resp.Diagnostics.AddError("Cannot import the role binding", err.Error())
		return
	}
	model := found.model()
	resp.Diagnostics.Append(keepText(ctx, resp.Private, uidKey, found.Meta.UID)...)
	resp.Diagnostics.Append(resp.State.Set(ctx, &model)...)
}

func (r *roleBinding) imported(ctx context.Context, id string) (*binding, error) {
	parts := strings.Split(id, "/")
	if len(parts) < 2 || len(parts) > 5 {
		return nil, fmt.Errorf("%q is not of the form <org>/<role>/<member or service_account>, with /<mesh> for a role at a mesh and /<service> for one service of it, or <org>/<id>", id)
	}
	if err := r.connection.isOwn(ctx, id, parts[0]); err != nil {
		return nil, err
	}
	uid, at := "", parts[1:]
	if len(at) == 1 {
		uid = at[0]
	}
	found, err := r.locate(ctx, uid, at)
	if err == nil && found == nil {
		err = errors.New("there is no role binding " + id)
	}
	return found, err
}
