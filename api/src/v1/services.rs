//! Services.

use heddle_model::authz::permission::ConfigWrite;
use heddle_model::kind::{Kind, Service};
use heddle_model::name::Name;

use crate::declared::Declared;
use crate::mtls::Concern;

impl Declared for Service {
    const COLLECTION: &'static str = "/v1/orgs/{org}/meshes/{mesh}/services";
    const PARENTS: &'static [Kind] = &[];
    const VIEW: &'static str = "Service";
    const NOUN: &'static str = "service";
    const IDS: (&'static str, &'static str) = ("service", "services");
    const TAG: &'static str = "Services";
    type Write = ConfigWrite;

    fn local_ports(&self, name: &Name) -> Vec<(String, u16)> {
        let all = self.ports.iter().enumerate();
        all.filter_map(|(i, port)| Some((format!("/ports/{i}/local_port"), port.local_port(name)?)))
            .collect()
    }

    fn mtls(&self) -> Concern<'_> {
        Concern::Service(self)
    }

    fn hosts(&self, name: &Name) -> Vec<(String, String)> {
        let own = (String::from("/name"), name.to_string());
        let named = |(i, host): (usize, &heddle_model::net::Host)| {
            (format!("/hostnames/{i}"), host.to_string())
        };
        std::iter::once(own)
            .chain(self.hostnames.iter().flatten().enumerate().map(named))
            .collect()
    }
}
