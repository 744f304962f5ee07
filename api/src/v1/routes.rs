//! Routes of a service.

use heddle_model::authz::permission::ConfigWrite;
use heddle_model::kind::{Kind, Route};

use crate::declared::Declared;

impl Declared for Route {
    const COLLECTION: &'static str = "/v1/orgs/{org}/meshes/{mesh}/services/{service}/routes";
    const PARENTS: &'static [Kind] = &[Kind::Service];
    const VIEW: &'static str = "Route";
    const NOUN: &'static str = "route";
    const IDS: (&'static str, &'static str) = ("route", "routes");
    const TAG: &'static str = "Routes";
    type Write = ConfigWrite;
}
