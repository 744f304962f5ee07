package acceptance

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
)

// lifecycle is what every resource has to live through.
type lifecycle struct {
	kind, address string
	// needs are the examples that its own stands on.
	needs []string
	// old in the example becomes new: an update in place.
	old, new string
	// path below the organisation.
	path string
	// behind changes it without Terraform.
	behind func(object map[string]any)
	// identifier is the attribute that tells it from its siblings.
	identifier string
}

var lifecycles = []lifecycle{
	{
		kind: "mesh", address: "heddle_mesh.prod", identifier: "name", path: "meshes/%s",
		old: `"Production"`, new: `"Production, renamed"`,
		behind: func(o map[string]any) { delete(o, "labels"); o["access_default"] = "allow" },
	},
	{
		kind: "service", address: "heddle_service.payments", identifier: "name", path: "meshes/%s/services/payments",
		needs: []string{"mesh"},
		old:   `    timeout = "5s"`, new: "    timeout = \"800ms\"\n    retries = { attempts = 0 }",
		behind: func(o map[string]any) { o["hostnames"] = []string{"elsewhere.internal"} },
	},
	{
		kind: "profile", address: "heddle_profile.backend", identifier: "name", path: "meshes/%s/profiles/backend",
		needs: []string{"mesh"},
		old:   `    retries = { attempts = 1 }`, new: `    retries = { attempts = 0 }`,
		behind: func(o map[string]any) { o["settings"] = map[string]any{"timeout": "4s"} },
	},
	{
		kind: "route", address: "heddle_route.charges", identifier: "name", path: "meshes/%s/services/payments/routes/charges",
		needs: []string{"mesh", "service"},
		old:   `priority = 100` + "\n", new: `priority = 50` + "\n",
		// A block that the configuration does not have and the object has is drift, too.
		behind: func(o map[string]any) { delete(o, "settings"); o["display_name"] = "Charges" },
	},
	{
		kind: "split", address: "heddle_split.all", identifier: "route", path: "meshes/%s/services/payments/routes/all/split",
		needs: []string{"mesh", "service", "route"},
		old:   `{ version = "v1", weight = 90 },`, new: `{ version = "v1", weight = 0 },`,
		behind: func(o map[string]any) { o["weights"] = []any{map[string]any{"version": "v1", "weight": 100}} },
	},
	{
		kind: "access_rule", address: "heddle_access_rule.checkout_may_charge", identifier: "name",
		path:  "meshes/%s/services/payments/access-rules/checkout-may-charge",
		needs: []string{"mesh", "service"},
		old:   `"allow"`, new: `"deny"`,
		behind: func(o map[string]any) { delete(o, "to") },
	},
}

func TestResourcesLiveThroughEverything(t *testing.T) {
	for _, one := range lifecycles {
		t.Run(one.kind, func(t *testing.T) {
			t.Parallel()
			mesh := "life-" + dashed(one.kind)
			created := example(t, mesh, append(one.needs, one.kind)...)
			updated := edit(t, created, one.old, one.new)
			path := fmt.Sprintf(one.path, mesh)
			action := func(want plancheck.ResourceActionType) resource.ConfigPlanChecks {
				return resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(one.address, want)}}
			}
			resource.Test(t, resource.TestCase{
				ProtoV6ProviderFactories: providers,
				CheckDestroy:             gone(t, mesh),
				// After each step the framework plans again, with and without a refresh, and fails if there is anything to do.
				Steps: []resource.TestStep{
					{Config: created, ConfigPlanChecks: action(plancheck.ResourceActionCreate)},
					{
						ResourceName: one.address, ImportState: true, ImportStateVerify: true,
						ImportStateId: importID(t, mesh, one.kind), ImportStateVerifyIdentifierAttribute: one.identifier,
					},
					{Config: updated, ConfigPlanChecks: action(plancheck.ResourceActionUpdate)},
					{
						PreConfig:        func() { heddle.change(t, path, one.behind) },
						Config:           updated,
						ConfigPlanChecks: action(plancheck.ResourceActionUpdate),
					},
					{
						PreConfig: func() {
							if status, _ := heddle.api(t, "DELETE", path, nil); status != http.StatusNoContent {
								t.Fatalf("DELETE %s: %d", path, status)
							}
						},
						Config:           updated,
						ConfigPlanChecks: action(plancheck.ResourceActionCreate),
					},
				},
			})
		})
	}
}

// gone checks that nothing is left of a mesh.
func gone(t *testing.T, mesh string) func(*terraform.State) error {
	return func(*terraform.State) error {
		if status, _ := heddle.api(t, "GET", "meshes/"+mesh, nil); status != http.StatusNotFound {
			return fmt.Errorf("mesh %s: %d after everything was destroyed", mesh, status)
		}
		return nil
	}
}
