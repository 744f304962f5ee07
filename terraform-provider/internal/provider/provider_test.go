package provider

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

func TestEverySchemaIsValid(t *testing.T) {
	server, err := providerserver.NewProtocol6WithError(New("test")())()
	if err != nil {
		t.Fatal(err)
	}
	schemas, err := server.GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, diagnostic := range schemas.Diagnostics {
		t.Errorf("%s: %s", diagnostic.Summary, diagnostic.Detail)
	}
	for name, schema := range schemas.ResourceSchemas {
		for _, attribute := range schema.Block.Attributes {
			if attribute.Description == "" {
				t.Errorf("%s.%s is not described", name, attribute.Name)
			}
		}
	}
}

func TestDeclaredObjectsHaveNothingComputed(t *testing.T) {
	for _, kind := range kinds {
		var resp resource.SchemaResponse
		(&declared{kind: kind}).Schema(context.Background(), resource.SchemaRequest{}, &resp)
		if resp.Diagnostics.HasError() {
			t.Errorf("%s: %v", kind.name, resp.Diagnostics)
		}
		for name, attribute := range resp.Schema.Attributes {
			if attribute.IsComputed() || attribute.IsSensitive() {
				t.Errorf("heddle_%s.%s is computed or sensitive", kind.name, name)
			}
		}
		for _, name := range kind.places() {
			if !resp.Schema.Attributes[name].IsRequired() {
				t.Errorf("heddle_%s.%s is not required", kind.name, name)
			}
		}
	}
}

func TestViolationsStandAtTheirAttributes(t *testing.T) {
	raw := `{"title":"Invalid","detail":"2 rules are broken","code":"HED-2022","request_id":"req_1","errors":[
		{"pointer":"/ports/1/name","code":"HED-1009","detail":"port http is listed twice","hint":"remove one of them"},
		{"pointer":"/other","code":"HED-1002","detail":"there is no such field"}]}`
	body := tftypes.Object{AttributeTypes: map[string]tftypes.Type{"ports": tftypes.List{ElementType: tftypes.Object{
		AttributeTypes: map[string]tftypes.Type{"name": tftypes.String}}}}}
	var diagnostics diag.Diagnostics
	report(&diagnostics, "create the service", parseProblem(&http.Response{StatusCode: 422}, []byte(raw)), body)
	want := diag.Diagnostics{
		diag.NewAttributeErrorDiagnostic(path.Root("ports").AtListIndex(1).AtName("name"), "Cannot create the service: invalid",
			"Port http is listed twice.\nRemove one of them.\n\nCode: HED-1009\nRequest: req_1"),
		diag.NewErrorDiagnostic("Cannot create the service: invalid",
			"There is no such field.\n\nCode: HED-1002\nRequest: req_1"),
	}
	if !diagnostics.Equal(want) {
		t.Errorf("got %v", diagnostics)
	}
}

func TestAnAnswerOfSomebodyElseIsSaidToBeOne(t *testing.T) {
	for _, raw := range []string{"<html>", "{}", ""} {
		problem := parseProblem(&http.Response{StatusCode: 502}, []byte(raw))
		if problem.Status != 502 || problem.Title != "Bad Gateway" || problem.Code != "" {
			t.Errorf("%q: %+v", raw, problem)
		}
	}
}

func TestOnlyWhatMayPassIsTriedAgain(t *testing.T) {
	for raw, want := range map[string]bool{
		`{"status":409,"code":"HED-2006"}`: true,
		`{"status":409,"code":"HED-2008"}`: true,
		`{"status":429,"code":"HED-2041"}`: true,
		`{"status":503,"code":"HED-2053"}`: true,
		`{"status":409,"code":"HED-2005"}`: false,
		`{"status":422,"code":"HED-2022"}`: false,
		`{"status":429,"code":"HED-2029"}`: false,
		`{"status":500,"code":"HED-2050"}`: false,
	} {
		var status struct{ Status int }
		if err := json.Unmarshal([]byte(raw), &status); err != nil {
			t.Fatal(err)
		}
		if got := parseProblem(&http.Response{StatusCode: status.Status}, []byte(raw)).passes(); got != want {
			t.Errorf("%s: %v", raw, got)
		}
	}
}

func TestImportIDsSayTheirForm(t *testing.T) {
	if got, want := form(route.places(), route.name), "<org>/<mesh>/<service>/<route>"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := form(split.places(), split.name), "<org>/<mesh>/<service>/<route>"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDurations(t *testing.T) {
	for text, ok := range map[string]bool{"168h": true, "1.5s": true, "1d": false, "1h30m": false, "-1s": false, "": false} {
		if _, err := parseDuration(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}
