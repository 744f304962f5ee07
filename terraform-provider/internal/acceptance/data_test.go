package acceptance

import (
	"regexp"
	"strings"
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
	inForce := func(field string, value knownvalue.Check) statecheck.StateCheck {
		at := tfjsonpath.New("settings")
		for step := range strings.SplitSeq(field, ".") {
			at = at.AtMapKey(step)
		}
		return statecheck.ExpectKnownValue("data.heddle_effective.charges", at, value)
	}
	who := func(field string, who map[string]knownvalue.Check) statecheck.StateCheck {
		return statecheck.ExpectKnownValue("data.heddle_effective.charges", tfjsonpath.New("from").AtMapKey(field), knownvalue.ObjectPartial(who))
	}
	from := func(field, kind, name string) statecheck.StateCheck {
		return who(field, map[string]knownvalue.Check{
			"level": knownvalue.StringExact(kind), "kind": knownvalue.StringExact(kind),
			"name": knownvalue.StringExact(name), "revision": knownvalue.NotNull(),
		})
	}
	builtIn := func(field string) statecheck.StateCheck {
		return who(field, map[string]knownvalue.Check{
			"level": knownvalue.StringExact("built_in"), "kind": knownvalue.Null(), "name": knownvalue.Null(), "revision": knownvalue.Null(),
		})
	}
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: providers,
		CheckDestroy:             gone(t, "data"),
		Steps: []resource.TestStep{{
			Config: example(t, "data", "mesh", "service", "route", "data.whoami", "data.proxies", "data.bootstrap", "data.effective"),
			ConfigStateChecks: []statecheck.StateCheck{
				known("data.heddle_whoami.me", "org", knownvalue.StringExact(org)),
				known("data.heddle_whoami.me", "role", knownvalue.StringExact("owner")),
				known("data.heddle_whoami.me", "permissions", knownvalue.ListPartial(map[int]knownvalue.Check{0: matches(`^[a-z_-]+:[a-z]+$`)})),
				known("data.heddle_proxies.payments", "proxies", knownvalue.ListSizeExact(0)),
				known("data.heddle_bootstrap.payments", "json", matches(`^\{`)),
				known("data.heddle_bootstrap.payments", "yaml", matches(`(?s)/etc/heddle/token`)),
				known("data.heddle_bootstrap.edge", "yaml", matches(`(?s)mode: augment`)),
				known("data.heddle_bootstrap.edge", "json", matches(`"node":\{"metadata"`)),
				inForce("timeout", knownvalue.StringExact("2s")), from("timeout", "route", "charges"),
				inForce("retries.attempts", knownvalue.Int64Exact(0)), from("retries.attempts", "route", "charges"),
				inForce("retries.per_try_timeout", knownvalue.StringExact("2s")), from("retries.per_try_timeout", "mesh", "data"),
				inForce("retries.on", knownvalue.ListSizeExact(3)), from("retries.on", "mesh", "data"),
				inForce("health_check.statuses", knownvalue.ListExact([]knownvalue.Check{knownvalue.Int64Exact(200)})),
				inForce("access_log.to", knownvalue.ListSizeExact(1)), builtIn("access_log.to"),
				inForce("access_log.sample_percent", knownvalue.Int64Exact(100)), builtIn("access_log.sample_percent"),
				inForce("outlier_detection.consecutive_5xx", knownvalue.Int64Exact(0)), builtIn("outlier_detection.consecutive_5xx"),
				inForce("circuit_breaking.max_retries", knownvalue.NotNull()), builtIn("circuit_breaking.max_retries"),
			},
		}},
	})
}
