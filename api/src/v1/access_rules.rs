//! Access rules of a service.

use heddle_model::authz::permission::AccessWrite;
use heddle_model::kind::{AccessRule, Kind};

use crate::declared::Declared;
use crate::mtls::Concern;

impl Declared for AccessRule {
    const COLLECTION: &'static str = "/v1/orgs/{org}/meshes/{mesh}/services/{service}/access-rules";
    const PARENTS: &'static [Kind] = &[Kind::Service];
    const VIEW: &'static str = "AccessRule";
    const NOUN: &'static str = "access rule";
    const IDS: (&'static str, &'static str) = ("access_rule", "access_rules");
    const TAG: &'static str = "Access rules";
    type Write = AccessWrite;

    fn mtls(&self) -> Concern<'_> {
        Concern::Rule(self)
    }
}
