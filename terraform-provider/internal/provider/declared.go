package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"heddle.example/terraform-provider-heddle/internal/wire"
)

// etagKey is where the state that Terraform knows is kept, for If-Match.
const etagKey = "etag"

// declared is the resource of a declarative kind.
type declared struct {
	kind       *kind
	connection *connection
}

var (
	_ resource.ResourceWithConfigure   = (*declared)(nil)
	_ resource.ResourceWithImportState = (*declared)(nil)
)

func (r *declared) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_" + r.kind.name
}

func (r *declared) Configure(_ context.Context, req resource.ConfigureRequest, _ *resource.ConfigureResponse) {
	// Without data while a configuration is only validated.
	r.connection, _ = req.ProviderData.(*connection)
}

func (r *declared) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	attributes, err := attributesOf(r.kind.body)
	if err != nil {
		resp.Diagnostics.AddError("Cannot read the shape of a "+r.kind.noun, err.Error())
		return
	}
	for _, parent := range r.kind.parents {
		attributes[parent] = place("The " + parent + " that it belongs to, by name. A change makes a new " + r.kind.noun + ".")
	}
	if !r.kind.singleton {
		attributes["name"] = place("Chosen once: a change makes a new " + r.kind.noun + ".")
	}
	resp.Schema = schema.Schema{MarkdownDescription: r.kind.about, Attributes: attributes}
}

// place is a part of an object's address.
func place(text string) schema.Attribute {
	return schema.StringAttribute{
		Required: true, MarkdownDescription: text, Validators: nameRules(),
		PlanModifiers: []planmodifier.String{stringplanmodifier.RequiresReplace()},
	}
}

func (r *declared) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	at, body, err := r.said(req.Plan.Raw)
	if err != nil {
		resp.Diagnostics.AddError("Cannot read the plan", err.Error())
		return
	}
	answer, err := r.send(ctx, r.kind.create, at, body)
	if problem := asProblem(err); problem != nil && r.exists(problem) {
		resp.Diagnostics.AddError("Exists already: "+r.kind.noun+" "+strings.Join(at, "/"), r.importHelp(ctx, at))
		return
	}
	if err != nil {
		report(&resp.Diagnostics, "create the "+r.kind.noun, err, req.Plan.Raw.Type())
		return
	}
	r.keep(ctx, answer, at, &resp.State, resp.Private, &resp.Diagnostics)
}

func (r *declared) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	at, err := r.place(req.State.Raw)
	if err != nil {
		resp.Diagnostics.AddError("Cannot read the state", err.Error())
		return
	}
	answer, err := r.send(ctx, r.kind.read, at, nil)
	if isNotFound(err) {
		resp.State.RemoveResource(ctx)
		return
	}
	if err != nil {
		report(&resp.Diagnostics, "read the "+r.kind.noun, err, req.State.Raw.Type())
		return
	}
	r.keep(ctx, answer, at, &resp.State, resp.Private, &resp.Diagnostics)
}

func (r *declared) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	at, body, err := r.said(req.Plan.Raw)
	if err != nil {
		resp.Diagnostics.AddError("Cannot read the plan", err.Error())
		return
	}
	answer, err := r.send(ctx, r.kind.replaceIf(keptText(ctx, req.Private, etagKey)), at, body)
	if problem := asProblem(err); problem != nil && problem.Status == http.StatusPreconditionFailed {
		resp.Diagnostics.AddError("Changed since it was planned: "+r.kind.noun+" "+strings.Join(at, "/"),
			"Somebody changed it after this plan had read it. Nothing was overwritten; plan again.")
		return
	}
	if err != nil {
		report(&resp.Diagnostics, "replace the "+r.kind.noun, err, req.Plan.Raw.Type())
		return
	}
	r.keep(ctx, answer, at, &resp.State, resp.Private, &resp.Diagnostics)
}

func (r *declared) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	at, err := r.place(req.State.Raw)
	if err != nil {
		resp.Diagnostics.AddError("Cannot read the state", err.Error())
		return
	}
	_, err = r.send(ctx, r.kind.remove, at, nil)
	if problem := asProblem(err); problem != nil && problem.Code == codeProtected {
		resp.Diagnostics.AddAttributeError(path.Root("deletion_protection"), "Protected: "+r.kind.noun+" "+strings.Join(at, "/"),
			"Set `deletion_protection = false` and apply, then destroy. It is on when absent.")
		return
	}
	// Gone already, by itself or with what it belonged to: deleting works in any order.
	if err != nil && !isNotFound(err) {
		report(&resp.Diagnostics, "delete the "+r.kind.noun, err, req.State.Raw.Type())
	}
}

// send encodes, calls and reads.
func (r *declared) send(ctx context.Context, call call, at []string, body map[string]any) (*reply, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return r.connection.send(ctx, func() (*http.Response, error) {
		return call(ctx, r.connection, at, bytes.NewReader(encoded))
	})
}

// place is the object's address below the organisation.
func (r *declared) place(value tftypes.Value) ([]string, error) {
	var fields map[string]tftypes.Value
	if err := value.As(&fields); err != nil {
		return nil, err
	}
	var at []string
	for _, name := range r.kind.places() {
		var text string
		if err := fields[name].As(&text); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		at = append(at, text)
	}
	return at, nil
}

// said is the address, and what the user said of the object.
func (r *declared) said(plan tftypes.Value) ([]string, map[string]any, error) {
	at, err := r.place(plan)
	if err != nil {
		return nil, nil, err
	}
	encoded, err := wire.Encode(plan)
	if err != nil {
		return nil, nil, err
	}
	body, ok := encoded.(map[string]any)
	if !ok {
		return nil, nil, fmt.Errorf("there is nothing planned")
	}
	maps.DeleteFunc(body, func(name string, _ any) bool { return slices.Contains(r.kind.parents, name) })
	return at, body, nil
}

// keep makes the answer the state. What the server adds of its own is no part of it.
func (r *declared) keep(ctx context.Context, answer *reply, at []string, state *tfsdk.State, private private, diagnostics *diag.Diagnostics) {
	object := maps.Clone(answer.body)
	for i, parent := range r.kind.parents {
		object[parent] = at[i]
	}
	value, err := wire.Decode(object, state.Schema.Type().TerraformType(ctx))
	if err != nil {
		diagnostics.AddError("Cannot read the "+r.kind.noun, "The server answered with a shape that this version of the provider does not know: "+err.Error())
		return
	}
	state.Raw = value
	diagnostics.Append(keepText(ctx, private, etagKey, answer.etag)...)
}

// exists says whether creating failed because there is one already.
func (r *declared) exists(problem *problem) bool {
	return problem.Code == codeAlreadyExists || r.kind.singleton && problem.Status == http.StatusPreconditionFailed
}
