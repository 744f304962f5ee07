//! Profiles.

use heddle_model::authz::permission::ConfigWrite;
use heddle_model::kind::{Kind, Profile};

use crate::declared::Declared;

impl Declared for Profile {
    const COLLECTION: &'static str = "/v1/orgs/{org}/meshes/{mesh}/profiles";
    const PARENTS: &'static [Kind] = &[];
    const VIEW: &'static str = "Profile";
    const NOUN: &'static str = "profile";
    const IDS: (&'static str, &'static str) = ("profile", "profiles");
    const TAG: &'static str = "Profiles";
    type Write = ConfigWrite;
}
