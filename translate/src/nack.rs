//! Which object a refusal by Envoy is about.

use crate::resource::Origin;

/// The object and field that an error message of Envoy is about: of the origins whose `within` the message
/// repeats, the one that says most. `None` when there are no origins.
///
/// The message is Envoy's, or that of whoever speaks for it: it is compared, never interpreted.
#[must_use]
pub fn explain_nack(origins: &[Origin], error: &str) -> Option<Origin> {
    let said = |origin: &&Origin| origin.within.split(' ').all(|part| repeats(error, part));
    origins
        .iter()
        .filter(said)
        .max_by_key(|origin| (origin.within.len(), origin.pointer.len()))
        .or_else(|| origins.first())
        .cloned()
}

/// Whether `text` has `part` as a word of its own: `pay/all` is not in `pay/all-2`.
fn repeats(text: &str, part: &str) -> bool {
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/');
    text.match_indices(part).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + part.len()..].chars().next();
        part.is_empty() || !(before.is_some_and(in_name) || after.is_some_and(in_name))
    })
}

#[cfg(test)]
mod tests {
    use heddle_model::kind::Kind;

    use super::*;

    fn origin(name: &str, pointer: &str, within: &str) -> Origin {
        Origin {
            kind: Kind::Route,
            id: format!("id of {name}"),
            name: name.to_owned(),
            pointer: pointer.to_owned(),
            revision: 1,
            within: within.to_owned(),
        }
    }

    #[test]
    fn the_most_specific_origin_wins() {
        let origins = [
            origin("mesh", "", ""),
            origin("pay", "/ports/0", "VirtualHosts[1]"),
            origin("pay/all", "", "VirtualHosts[1] Routes[1]"),
            origin(
                "pay/all",
                "/settings/timeout",
                "VirtualHosts[1] Routes[1] RouteActionValidationError.Timeout",
            ),
            origin("pay/all-2", "", "VirtualHosts[1] Routes[11]"),
            origin("pay/all", "", "pay/all"),
            origin("pay/all-2", "", "pay/all-2"),
        ];
        let name = |error: &str| {
            let found = explain_nack(&origins, error).unwrap();
            format!("{}#{}", found.name, found.pointer)
        };
        let validation = "Proto constraint validation failed (RouteConfigurationValidationError.\
            VirtualHosts[1]: embedded message failed validation | caused by VirtualHostValidationError.\
            Routes[1]: embedded message failed validation | caused by field: \"route\", reason: is \
            required RouteActionValidationError.Timeout: value must be ..)";
        assert_eq!(name(validation), "pay/all#/settings/timeout");
        assert_eq!(name("VirtualHosts[1]: .. Routes[11]: .."), "pay/all-2#");
        assert_eq!(name("route: unknown cluster in 'pay/all-2'"), "pay/all-2#");
        assert_eq!(name("route: unknown cluster in 'pay/all'"), "pay/all#");
        assert_eq!(name("something else entirely"), "mesh#");
        assert_eq!(explain_nack(&[], "anything"), None);
    }
}
