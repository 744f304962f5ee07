package acceptance

import (
	"fmt"
	"net/http"
	"regexp"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
)

func TestJoinTokensLiveThroughEverything(t *testing.T) {
	t.Parallel()
	const address = "heddle_join_token.payments"
	mesh := "tokens"
	created := example(t, mesh, "mesh", "service", "join_token")
	action := func(want plancheck.ResourceActionType) resource.ConfigPlanChecks {
		return resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(address, want)}}
	}
	secret := tfjsonpath.New("secret")
	other := statecheck.CompareValue(different{})
	same := statecheck.CompareValue(equal{})
	path := "meshes/tokens/join-tokens/payments-hosts"
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: providers,
		CheckDestroy:             gone(t, mesh),
		Steps: []resource.TestStep{
			{
				Config: created,
				ConfigStateChecks: []statecheck.StateCheck{
					statecheck.ExpectSensitiveValue(address, secret),
					statecheck.ExpectKnownValue(address, secret, knownvalue.StringRegexp(regexp.MustCompile(`^heddle_join_[A-Za-z0-9]+`))),
					other.AddStateValue(address, secret), same.AddStateValue(address, secret),
				},
			},
			{
				ResourceName: address, ImportState: true, ImportStateVerify: true,
				ImportStateId: importID(t, mesh, "join_token"), ImportStateVerifyIdentifierAttribute: "name",
				// The first cannot be read back, the other two are Terraform's own.
				ImportStateVerifyIgnore: []string{"secret", "expires_in", "rotate_before"},
			},
			// When to rotate is nobody's business but Terraform's.
			{
				Config:            edit(t, created, `"168h"`, `"24h"`),
				ConfigPlanChecks:  action(plancheck.ResourceActionUpdate),
				ConfigStateChecks: []statecheck.StateCheck{same.AddStateValue(address, secret)},
			},
			// It ends within the time before which it is to be replaced.
			{
				Config:             edit(t, created, `"168h"`, `"2160h"`),
				ConfigPlanChecks:   action(plancheck.ResourceActionDestroyBeforeCreate),
				ConfigStateChecks:  []statecheck.StateCheck{other.AddStateValue(address, secret)},
				ExpectNonEmptyPlan: true,
			},
			// Revoked by somebody else: a new one.
			{
				PreConfig: func() {
					if status, _ := heddle.api(t, "DELETE", path, nil); status != http.StatusNoContent {
						t.Fatalf("DELETE %s: %d", path, status)
					}
				},
				Config:            created,
				ConfigPlanChecks:  action(plancheck.ResourceActionCreate),
				ConfigStateChecks: []statecheck.StateCheck{other.AddStateValue(address, secret)},
			},
			// Another lifetime, or none given: a new one each time.
			{
				Config:            edit(t, created, `  expires_in = "2160h"`+"\n", ""),
				ConfigPlanChecks:  action(plancheck.ResourceActionDestroyBeforeCreate),
				ConfigStateChecks: []statecheck.StateCheck{other.AddStateValue(address, secret)},
			},
			{
				Config:            created,
				ConfigPlanChecks:  action(plancheck.ResourceActionDestroyBeforeCreate),
				ConfigStateChecks: []statecheck.StateCheck{other.AddStateValue(address, secret)},
			},
			{
				Config:      created + edit(t, example(t, mesh, "join_token"), `"payments" {`, `"again" {`)[len(example(t, mesh)):],
				ExpectError: regexp.MustCompile(`(?s)Exists already: join token tokens/payments-hosts.*import \{`),
			},
			{
				Config:      edit(t, created, `"2160h"`, `"2161h"`),
				ExpectError: regexp.MustCompile(`(?s)Cannot create the join token.*HED-1005`),
			},
		},
	})
}

// equal and different compare all values that were seen.
type equal struct{}

func (equal) CompareValues(values ...any) error { return compare(true, values) }

type different struct{}

func (different) CompareValues(values ...any) error { return compare(false, values) }

func compare(want bool, values []any) error {
	for i := range values {
		for j := range i {
			if (values[i] == values[j]) != want {
				return fmt.Errorf("values %d and %d: equal is %v", j, i, !want)
			}
		}
	}
	return nil
}
