package acceptance

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
)

// planned expects what a plan does with a resource.
func planned(address string, want plancheck.ResourceActionType) resource.ConfigPlanChecks {
	return resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(address, want)}}
}

// behind does something behind Terraform's back, before a step.
func behind(t *testing.T, method, path string, body any, want int) func() {
	return func() {
		t.Helper()
		if status, answer := heddle.api(t, method, path, body); status != want {
			t.Fatalf("%s %s: %d %v", method, path, status, answer)
		}
	}
}

// accountsGone checks that nothing is left of a mesh, nor of the account and the token that go with it.
func accountsGone(t *testing.T, mesh string) func(*terraform.State) error {
	return func(state *terraform.State) error {
		for _, path := range []string{"service-accounts/" + mesh + "-deployer", "tokens/" + mesh + "-deployer-ci"} {
			if status, _ := heddle.api(t, "GET", path, nil); status != http.StatusNotFound {
				return fmt.Errorf("%s: %d after everything was destroyed", path, status)
			}
		}
		return gone(t, mesh)(state)
	}
}

func TestServiceAccountsLiveThroughEverything(t *testing.T) {
	t.Parallel()
	const address = "heddle_service_account.deployer"
	mesh := "account"
	created := example(t, mesh, "service_account")
	updated := edit(t, created, `"Deploys from the main branch"`, `"Deploys"`)
	bare := edit(t, created, `  display_name = "Deploys from the main branch"`+"\n", "")
	path := "service-accounts/account-deployer"
	block := "\nimport {\n  to = heddle_service_account.again\n  id = \"acme/account-deployer\"\n}\n"
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: providers,
		CheckDestroy:             accountsGone(t, mesh),
		Steps: []resource.TestStep{
			{Config: created, ConfigPlanChecks: planned(address, plancheck.ResourceActionCreate)},
			{
				ResourceName: address, ImportState: true, ImportStateVerify: true,
				ImportStateId: importID(t, mesh, "service_account"), ImportStateVerifyIdentifierAttribute: "name",
			},
			{
				ResourceName: address, ImportState: true, ImportStateVerify: true,
				ImportStateId: "account-deployer", ImportStateVerifyIdentifierAttribute: "name",
			},
			{Config: updated, ConfigPlanChecks: planned(address, plancheck.ResourceActionUpdate)},
			{
				PreConfig: behind(t, "PATCH", path, map[string]any{"display_name": "By hand"}, http.StatusOK),
				Config:    updated, ConfigPlanChecks: planned(address, plancheck.ResourceActionUpdate),
			},
			{Config: bare, ConfigPlanChecks: planned(address, plancheck.ResourceActionUpdate)},
			{
				PreConfig: behind(t, "PATCH", path, map[string]any{"display_name": "By hand"}, http.StatusOK),
				Config:    bare, ConfigPlanChecks: planned(address, plancheck.ResourceActionUpdate),
			},
			{
				PreConfig: behind(t, "DELETE", path, nil, http.StatusNoContent),
				Config:    created, ConfigPlanChecks: planned(address, plancheck.ResourceActionCreate),
			},
			{
				Config:      created + strings.Replace(example(t, mesh, "service_account")[len(example(t, mesh)):], `"deployer" {`, `"again" {`, 1),
				ExpectError: regexp.MustCompile(`(?s)Exists already: service account account-deployer.*import \{.*id = "acme/account-deployer"`),
			},
			{
				Config:      edit(t, created, `"Deploys from the main branch"`, `"`+strings.Repeat("x", 201)+`"`),
				ExpectError: regexp.MustCompile(`(?s)display_name.*200`),
			},
			{
				Config:           edit(t, created, `"account-deployer"`, `"account-deploys"`),
				ConfigPlanChecks: planned(address, plancheck.ResourceActionDestroyBeforeCreate),
			},
			// An import block for what another one has made: there is nothing to do then.
			{
				PreConfig: behind(t, "POST", "service-accounts",
					map[string]any{"name": "account-deployer", "display_name": "Deploys from the main branch"}, http.StatusCreated),
				Config:           strings.Replace(created, `"deployer" {`, `"again" {`, 1) + block,
				ConfigPlanChecks: planned("heddle_service_account.again", plancheck.ResourceActionNoop),
			},
		},
	})
}

func TestRoleBindingsLiveThroughEverything(t *testing.T) {
	t.Parallel()
	const address = "heddle_role_binding.deployer"
	mesh := "binding"
	created := example(t, mesh, "mesh", "service_account", "role_binding")
	uid := func() string {
		_, answer := heddle.api(t, "GET", "role-bindings?service_account=binding-deployer&mesh=binding", nil)
		items, _ := answer["items"].([]any)
		if len(items) != 1 {
			t.Fatalf("%d bindings: %v", len(items), answer)
		}
		meta, _ := items[0].(map[string]any)["meta"].(map[string]any)
		return fmt.Sprint(meta["uid"])
	}
	behind(t, "POST", "members", map[string]any{"email": "ada@binding.example", "display_name": "Ada", "role": "viewer"}, http.StatusCreated)()
	member := created + `
resource "heddle_role_binding" "ada" {
  role   = "operator"
  member = "Ada@Binding.example"
}
`
	imports := func(id func() string) resource.TestStep {
		return resource.TestStep{
			ResourceName: address, ImportState: true, ImportStateVerify: true, ImportStateVerifyIdentifierAttribute: "role",
			ImportStateIdFunc: func(*terraform.State) (string, error) { return id(), nil },
		}
	}
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: providers,
		CheckDestroy:             accountsGone(t, mesh),
		Steps: []resource.TestStep{
			{Config: created, ConfigPlanChecks: planned(address, plancheck.ResourceActionCreate)},
			imports(func() string { return importID(t, mesh, "role_binding") }),
			imports(func() string { return "-/" + uid() }),
			{
				ResourceName: address, ImportState: true, ImportStateId: "acme/admin/binding-deployer/binding",
				ExpectError: regexp.MustCompile(`there is no role binding`),
			},
			{
				ResourceName: address, ImportState: true, ImportStateId: "binding-deployer",
				ExpectError: regexp.MustCompile(`(?s)is not of the form\s+<org>/<role>`),
			},
			{
				Config:           edit(t, created, `"developer"`, `"operator"`),
				ConfigPlanChecks: planned(address, plancheck.ResourceActionDestroyBeforeCreate),
			},
			{
				PreConfig: func() { behind(t, "DELETE", "role-bindings/"+uid(), nil, http.StatusNoContent)() },
				Config:    created, ConfigPlanChecks: planned(address, plancheck.ResourceActionCreate),
			},
			// With the account, its roles go; another one of the same name has none.
			{
				PreConfig: func() {
					behind(t, "DELETE", "service-accounts/binding-deployer", nil, http.StatusNoContent)()
					behind(t, "POST", "service-accounts", map[string]any{"name": "binding-deployer"}, http.StatusCreated)()
				},
				Config: created, ConfigPlanChecks: planned(address, plancheck.ResourceActionCreate),
			},
			{Config: member},
			{
				ResourceName: "heddle_role_binding.ada", ImportState: true, ImportStateId: "acme/operator/ada@binding.example",
			},
			{
				Config:      created + strings.Replace(example(t, mesh, "role_binding")[len(example(t, mesh)):], `"deployer" {`, `"again" {`, 1),
				ExpectError: regexp.MustCompile(`(?s)Duplicate resource`),
			},
			{
				Config: member + `
resource "heddle_role_binding" "again" {
  role   = "operator"
  member = "ada@binding.example"
}
`,
				ExpectError: regexp.MustCompile(`(?s)Exists already: role binding operator/ada@binding.example.*heddle_role_binding.ada_binding_example.*id = "acme/operator/ada@binding.example"`),
			},
			{
				Config:      edit(t, created, `"developer"`, `"owner"`),
				ExpectError: regexp.MustCompile(`(?s)Cannot give the role.*role\s+= "owner".*An\s+organisation\s+has\s+owners.*HED-`),
			},
			{
				Config:      edit(t, member, `"operator"`, `"king"`),
				ExpectError: regexp.MustCompile(`(?s)role.*value must be one of`),
			},
			{
				Config:      strings.Replace(member, `member = "Ada`, `service_account = "x"`+"\n"+`  member = "Ada`, 1),
				ExpectError: regexp.MustCompile(`(?s)Invalid Attribute Combination`),
			},
			{Config: created},
		},
	})
}

func TestAPITokensLiveThroughEverything(t *testing.T) {
	t.Parallel()
	const address = "heddle_api_token.deployer"
	mesh := "api-tokens"
	created := example(t, mesh, "mesh", "service_account", "role_binding", "api_token")
	secret := tfjsonpath.New("secret")
	other := statecheck.CompareValue(different{})
	same := statecheck.CompareValue(equal{})
	path := "tokens/api-tokens-deployer-ci"
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: providers,
		CheckDestroy:             accountsGone(t, mesh),
		Steps: []resource.TestStep{
			{
				Config: created,
				ConfigStateChecks: []statecheck.StateCheck{
					statecheck.ExpectSensitiveValue(address, secret),
					statecheck.ExpectKnownValue(address, secret, knownvalue.StringRegexp(regexp.MustCompile(`^heddle_[a-z]+_[A-Za-z0-9]+`))),
					statecheck.ExpectKnownValue(address, tfjsonpath.New("expires_at"), knownvalue.StringRegexp(regexp.MustCompile(`^20.*Z$`))),
					other.AddStateValue(address, secret), same.AddStateValue(address, secret),
				},
				Check: func(state *terraform.State) error {
					return works(t, state.RootModule().Resources[address].Primary.Attributes["secret"], "meshes/api-tokens")
				},
			},
			{
				ResourceName: address, ImportState: true, ImportStateVerify: true,
				ImportStateId: importID(t, mesh, "api_token"), ImportStateVerifyIdentifierAttribute: "name",
				// The first cannot be read back, the others are Terraform's own.
				ImportStateVerifyIgnore: []string{"secret", "expires_in", "rotate_before", "overlap"},
			},
			// When to rotate is nobody's business but Terraform's.
			{
				Config:            edit(t, created, `"168h"`, `"24h"`),
				ConfigPlanChecks:  planned(address, plancheck.ResourceActionUpdate),
				ConfigStateChecks: []statecheck.StateCheck{same.AddStateValue(address, secret)},
			},
			// Another lifetime, and then none: a new secret for the same token.
			{
				Config:            edit(t, created, `"2160h"`, `"1000h"`),
				ConfigPlanChecks:  planned(address, plancheck.ResourceActionUpdate),
				ConfigStateChecks: []statecheck.StateCheck{other.AddStateValue(address, secret)},
			},
			{
				Config:            edit(t, created, `  expires_in      = "2160h"`+"\n", ""),
				ConfigPlanChecks:  planned(address, plancheck.ResourceActionUpdate),
				ConfigStateChecks: []statecheck.StateCheck{other.AddStateValue(address, secret)},
			},
			{
				Config:            created,
				ConfigPlanChecks:  planned(address, plancheck.ResourceActionUpdate),
				ConfigStateChecks: []statecheck.StateCheck{other.AddStateValue(address, secret)},
			},
			// It ends within the time before which it is to be rotated.
			{
				Config:             edit(t, created, `"168h"`, `"2160h"`),
				ConfigPlanChecks:   planned(address, plancheck.ResourceActionUpdate),
				ConfigStateChecks:  []statecheck.StateCheck{other.AddStateValue(address, secret)},
				ExpectNonEmptyPlan: true,
			},
			{
				Config:            edit(t, created, `"meshes:read", `, ""),
				ConfigPlanChecks:  planned(address, plancheck.ResourceActionDestroyBeforeCreate),
				ConfigStateChecks: []statecheck.StateCheck{other.AddStateValue(address, secret)},
			},
			// The order means nothing.
			{
				Config:           edit(t, created, `"meshes:read", "config:read", "config:write"`, `"config:write", "config:read"`),
				ConfigPlanChecks: planned(address, plancheck.ResourceActionNoop),
			},
			{
				Config:           edit(t, created, `expires_in      = "2160h"`, `never_expires = true`),
				ConfigPlanChecks: planned(address, plancheck.ResourceActionDestroyBeforeCreate),
				ConfigStateChecks: []statecheck.StateCheck{
					statecheck.ExpectKnownValue(address, tfjsonpath.New("expires_at"), knownvalue.Null()),
				},
			},
			{Config: created, ConfigPlanChecks: planned(address, plancheck.ResourceActionDestroyBeforeCreate)},
			// Rotated by somebody else: the secret is theirs, so there is another one.
			{
				PreConfig: behind(t, "POST", path+"/rotations", map[string]any{}, http.StatusCreated),
				Config:    created, ConfigPlanChecks: planned(address, plancheck.ResourceActionUpdate),
				ConfigStateChecks: []statecheck.StateCheck{
					other.AddStateValue(address, secret),
					statecheck.ExpectKnownValue(address, secret, knownvalue.StringRegexp(regexp.MustCompile(`^heddle_`))),
				},
			},
			// Revoked by somebody else: a new token.
			{
				PreConfig: behind(t, "DELETE", path, nil, http.StatusNoContent),
				Config:    created, ConfigPlanChecks: planned(address, plancheck.ResourceActionCreate),
				ConfigStateChecks: []statecheck.StateCheck{other.AddStateValue(address, secret)},
			},
			// Revoked, and another one has its name now: that is not overwritten.
			{
				PreConfig: func() {
					behind(t, "DELETE", path, nil, http.StatusNoContent)()
					behind(t, "POST", "tokens", map[string]any{"name": "api-tokens-deployer-ci", "service_account": "api-tokens-deployer"}, http.StatusCreated)()
				},
				Config:      created,
				ExpectError: regexp.MustCompile(`(?s)Exists already: API token api-tokens-deployer-ci.*import \{.*id = "acme/api-tokens-deployer-ci"`),
			},
			{
				PreConfig: behind(t, "DELETE", path, nil, http.StatusNoContent),
				Config:    edit(t, created, `"meshes:read"`, `"meshes:see"`),
				ExpectError: regexp.MustCompile(`(?s)Cannot create the API token.*scopes\s+= \[.*` +
					"`meshes:see`: there is no such permission"),
			},
			{
				Config:      edit(t, created, `"2160h"`, `"8785h"`),
				ExpectError: regexp.MustCompile(`(?s)Cannot create the API token.*expires_in\s+= "8785h".*HED-1005`),
			},
			{
				Config:      edit(t, created, `= "2160h"`, `= "2160h"`+"\n  never_expires = true"),
				ExpectError: regexp.MustCompile(`(?s)Invalid Attribute Combination`),
			},
			// Without a service account it would be the caller's own, and the caller of this test is nobody.
			{
				Config:      edit(t, created, `  service_account = heddle_service_account.deployer.name`+"\n"+`  scopes`, `  scopes`),
				ExpectError: regexp.MustCompile(`(?s)Cannot create the API token.*HED-`),
			},
			{Config: created},
		},
	})
}

// TestImportedTokensGetASecretByARotation imports a token, which changes nothing but what Terraform keeps for itself, and
// then gives it another lifetime.
func TestImportedTokensGetASecretByARotation(t *testing.T) {
	t.Parallel()
	const address = "heddle_api_token.deployer"
	mesh := "imported"
	stood := example(t, mesh, "mesh", "service_account")
	created := example(t, mesh, "mesh", "service_account", "api_token")
	secret := tfjsonpath.New("secret")
	body := map[string]any{
		"name": "imported-deployer-ci", "service_account": "imported-deployer", "meshes": []string{"imported"},
		"scopes": []string{"config:read", "meshes:read", "config:write"}, "expires_in": "2160h",
	}
	block := "\nimport {\n  to = heddle_api_token.deployer\n  id = \"acme/imported-deployer-ci\"\n}\n"
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: providers,
		CheckDestroy:             accountsGone(t, mesh),
		Steps: []resource.TestStep{
			{Config: stood},
			{
				PreConfig: behind(t, "POST", "tokens", body, http.StatusCreated),
				Config:    created + block, ConfigPlanChecks: planned(address, plancheck.ResourceActionUpdate),
				ConfigStateChecks: []statecheck.StateCheck{statecheck.ExpectKnownValue(address, secret, knownvalue.Null())},
			},
			{
				Config: edit(t, created, `"2160h"`, `"2000h"`), ConfigPlanChecks: planned(address, plancheck.ResourceActionUpdate),
				ConfigStateChecks: []statecheck.StateCheck{
					statecheck.ExpectKnownValue(address, secret, knownvalue.StringRegexp(regexp.MustCompile(`^heddle_`)))},
			},
		},
	})
}

// works says whether a token reads this.
func works(t *testing.T, secret, path string) error {
	t.Helper()
	caller := *heddle
	caller.token = secret
	if status, answer := caller.api(t, "GET", path, nil); status != http.StatusOK {
		return fmt.Errorf("GET %s with the token: %d %v", path, status, answer)
	}
	return nil
}
