//! Who may get what: the subject of a certificate and the limits of its validity.

use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use uuid::Uuid;

use crate::authority::{MeshIdentity, MeshKey};
use crate::error::Error;
use crate::spiffe::{SpiffeError, SpiffeId, TrustDomain};

/// How far `notBefore` lies in the past, for clocks that run behind (S18).
pub(crate) const BACKDATE: TimeDelta = TimeDelta::minutes(5);

/// Who a certificate is for. Every field comes from the proof of identity (a join token), never from
/// what the applicant asks for, so there is nothing in a request that could widen it (C01, C02).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The organisation.
    pub org: Uuid,
    /// The mesh.
    pub mesh: Uuid,
    /// The trust domain of the mesh.
    pub trust_domain: TrustDomain,
    /// The service.
    pub service: String,
    /// The proxy.
    pub proxy: Uuid,
}

impl Subject {
    /// The one name the certificate will carry.
    ///
    /// # Errors
    /// The rule that the service name breaks.
    pub fn spiffe_id(&self) -> Result<SpiffeId, SpiffeError> {
        SpiffeId::service(&self.trust_domain, &self.service)
    }

    /// The mesh the subject belongs to.
    #[must_use]
    pub fn mesh_identity(&self) -> MeshIdentity {
        MeshIdentity {
            org: self.org,
            mesh: self.mesh,
            trust_domain: self.trust_domain.clone(),
        }
    }

    /// The mesh the subject belongs to, as a key.
    #[must_use]
    pub fn mesh_key(&self) -> MeshKey {
        MeshKey {
            org: self.org,
            mesh: self.mesh,
        }
    }
}

/// From when to when a certificate is valid, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// First valid second.
    pub not_before: DateTime<Utc>,
    /// Last valid second.
    pub not_after: DateTime<Utc>,
}

/// What leaves look like in this installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    lifetime: TimeDelta,
}

impl Profile {
    /// The shortest leaf: renewal at half of it still leaves time for a round trip.
    pub const MIN_LIFETIME: Duration = Duration::from_secs(5);
    /// The longest leaf (S50).
    pub const MAX_LIFETIME: Duration = Duration::from_hours(72);
    /// What is used when nothing is configured (S50).
    pub const DEFAULT_LIFETIME: Duration = Duration::from_hours(24);

    /// A profile with this leaf lifetime, in whole seconds.
    ///
    /// # Errors
    /// [`Error::Lifetime`] outside of 5 s to 72 h.
    pub fn new(lifetime: Duration) -> Result<Self, Error> {
        let allowed = Self::MIN_LIFETIME..=Self::MAX_LIFETIME;
        match TimeDelta::from_std(lifetime) {
            Ok(delta) if allowed.contains(&lifetime) => Ok(Self { lifetime: delta }),
            _ => Err(Error::Lifetime {
                asked_seconds: lifetime.as_secs(),
                min_seconds: Self::MIN_LIFETIME.as_secs(),
                max_seconds: Self::MAX_LIFETIME.as_secs(),
            }),
        }
    }

    /// The validity of a leaf issued now: back-dated, never outside of the issuer's, never longer than
    /// asked for.
    ///
    /// # Errors
    /// [`Error::IssuerNotYetValid`] when the clock lies before the issuer's validity (C10),
    /// [`Error::IssuerExpired`] when what is left of it is too short for a leaf (C11).
    pub(crate) fn validity(&self, issuer: Validity, now: DateTime<Utc>) -> Result<Validity, Error> {
        if now < issuer.not_before {
            return Err(Error::IssuerNotYetValid {
                not_before: issuer.not_before,
                now,
            });
        }
        let not_before = (now - BACKDATE).trunc_subsecs(0).max(issuer.not_before);
        let not_after = (now + self.lifetime).trunc_subsecs(0).min(issuer.not_after);
        // One second less than the shortest lifetime, because ends are rounded down.
        if not_after - now < TimeDelta::seconds(4) {
            return Err(Error::IssuerExpired {
                not_after: issuer.not_after,
                now,
            });
        }
        Ok(Validity {
            not_before,
            not_after,
        })
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            lifetime: TimeDelta::hours(24),
        }
    }
}
