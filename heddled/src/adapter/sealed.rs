//! What each sealed key of the store is bound to.

use heddle_ca::{Aad, AuthorityKind, MeshKey};
use heddle_store::authorities;
use heddle_store::reseal::Place;
use uuid::Uuid;

/// What the key at this place was sealed for.
pub(crate) fn sealed_for(place: Place) -> Aad {
    match place {
        Place::Authority { mesh, id, kind } => {
            let mesh = MeshKey {
                org: mesh.org().uuid(),
                mesh: mesh.mesh().uuid(),
            };
            let kind = match kind {
                authorities::AuthorityKind::Root => AuthorityKind::Root,
                authorities::AuthorityKind::Issuing => AuthorityKind::Issuing,
            };
            Aad::authority(mesh, id, kind)
        }
        // The installation's own: no organisation, no mesh.
        Place::SessionKey { id } => Aad {
            org: Uuid::nil(),
            mesh: Uuid::nil(),
            key: id,
            purpose: "session",
        },
        Place::SecondFactor { org, id } => Aad {
            org: org.uuid(),
            mesh: Uuid::nil(),
            key: id,
            purpose: "second factor",
        },
        Place::SsoConnection { org, id } => Aad {
            org: org.uuid(),
            mesh: Uuid::nil(),
            key: id,
            purpose: "sso connection",
        },
        Place::Webhook { org, id } => Aad {
            org: org.uuid(),
            mesh: Uuid::nil(),
            key: id,
            purpose: "webhook",
        },
    }
}
