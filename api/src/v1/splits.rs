//! The split of a route.

use heddle_model::authz::permission::ConfigWrite;
use heddle_model::kind::{Kind, Split};

use crate::declared::Declared;

impl Declared for Split {
    const COLLECTION: &'static str =
        "/v1/orgs/{org}/meshes/{mesh}/services/{service}/routes/{route}/split";
    const PARENTS: &'static [Kind] = &[Kind::Service, Kind::Route];
    const VIEW: &'static str = "Split";
    const NOUN: &'static str = "split";
    const IDS: (&'static str, &'static str) = ("split", "splits");
    const SINGLE: bool = true;
    const TAG: &'static str = "Routes";
    type Write = ConfigWrite;
}
