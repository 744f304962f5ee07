package acceptance

import (
	"regexp"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
)

func TestDataSourcesSayWhatIs(t *testing.T) {
	t.Parallel()
	known := func(address, attribute string, value knownvalue.Check) statecheck.StateCheck {
		return statecheck.ExpectKnownValue(address, tfjsonpath.New(attribute), value)
	}
	matches := func(pattern string) knownvalue.Check { return knownvalue.StringRegexp(regexp.MustCompile(pattern)) }
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: providers,
		CheckDestroy:             gone(t, "data"),
		Steps: []resource.TestStep{{
			Config: example(t, "data", "mesh", "service", "data.whoami", "data.proxies", "data.bootstrap"),
			ConfigStateChecks: []statecheck.StateCheck{
				known("data.heddle_whoami.me", "org", knownvalue.StringExact(org)),
				known("data.heddle_whoami.me", "role", knownvalue.StringExact("owner")),
				known("data.heddle_whoami.me", "permissions", knownvalue.ListPartial(map[int]knownvalue.Check{0: matches(`^[a-z_-]+:[a-z]+$`)})),
				known("data.heddle_proxies.payments", "proxies", knownvalue.ListSizeExact(0)),
				known("data.heddle_bootstrap.payments", "json", matches(`^\{`)),
				known("data.heddle_bootstrap.payments", "yaml", matches(`(?s)/etc/heddle/token`)),
				known("data.heddle_bootstrap.edge", "yaml", matches(`(?s)mode: augment`)),
				known("data.heddle_bootstrap.edge", "json", matches(`"node":\{"metadata"`)),
			},
		}},
	})
}
