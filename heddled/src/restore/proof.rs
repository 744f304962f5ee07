//! Proof that what was restored is worth something: every sealed key opens, and the authority of each mesh signs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, bail};
use heddle_ca::{Issuer, KekId, Keyring, MeshKey, SealError, SealingKey as _, SystemRandom};
use heddle_store::reseal::{self, Place, Resealer};
use heddle_store::{Cause, Store};

use super::keys::complaint;
use crate::adapter::{Authorities, Directory, sealed_for};
use crate::config::Config;

/// What was tried, and worked.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Proof {
    /// Private keys that opened.
    pub(super) opened: u64,
    /// Meshes whose issuing authority signed something.
    pub(super) signed: u64,
}

/// Opens everything and replaces nothing.
struct Opening {
    keyring: Keyring,
    missing: Mutex<BTreeMap<KekId, u64>>,
    broken: Mutex<Vec<String>>,
}

impl Resealer for Opening {
    fn reseal(&self, place: Place, sealed: &[u8]) -> Result<Option<Vec<u8>>, Cause> {
        match self.keyring.open(&sealed_for(place), sealed) {
            Ok(_) => {}
            Err(SealError::OtherKey(id)) => {
                let mut missing = self.missing.lock().map_err(|_| "a thread panicked")?;
                *missing.entry(id).or_default() += 1;
            }
            Err(error) => {
                let what = match place {
                    Place::Authority { id, .. } => format!("authority {id}: {error}"),
                    Place::SessionKey { id } => format!("session key {id}: {error}"),
                    Place::SecondFactor { id, .. } => format!("second factor {id}: {error}"),
                    Place::Webhook { id, .. } => format!("secret {id} of a webhook: {error}"),
                    Place::SsoConnection { id, .. } => format!("SSO connection {id}: {error}"),
                };
                let mut broken = self.broken.lock().map_err(|_| "a thread panicked")?;
                broken.push(what);
            }
        }
        Ok(None)
    }
}

impl Proof {
    /// Tries every key and every mesh.
    ///
    /// # Errors
    /// Names the sealing keys that are missing, what does not open, and the mesh whose authority does not sign.
    pub(super) async fn of(store: &Store, config: &Config) -> anyhow::Result<Self> {
        let keyring = config.sealing.open()?;
        let opening = Opening {
            keyring: keyring.clone(),
            missing: Mutex::default(),
            broken: Mutex::default(),
        };
        let looked = reseal::reseal(store, &opening).await;
        let opened = looked.context("open the sealed keys")?.seen;
        let missing = opening.missing.into_inner().unwrap_or_default();
        if !missing.is_empty() {
            let missing: Vec<(String, u64)> = missing
                .into_iter()
                .map(|(id, sealed)| (id.to_string(), sealed))
                .collect();
            bail!(complaint(&missing));
        }
        let broken = opening.broken.into_inner().unwrap_or_default();
        if !broken.is_empty() {
            bail!(
                "{} sealed keys do not open: {}",
                broken.len(),
                broken.join("; ")
            );
        }
        let meshes = Arc::new(Directory::new(store.clone()));
        let authorities = Authorities::new(store.clone(), meshes);
        let mut signed = 0;
        for head in store.feed(None).await.context("list the meshes")?.meshes {
            let mesh = MeshKey {
                org: head.mesh.org().uuid(),
                mesh: head.mesh.mesh().uuid(),
            };
            let sign = async {
                let signing = authorities.signing(mesh).await;
                // A mesh that nobody has joined yet has none.
                let Some(held) = signing.map_err(anyhow::Error::from_boxed)? else {
                    return Ok(());
                };
                let issuer = Issuer::open(&held.issuing, &held.root.certificate_pem, &keyring)?;
                issuer.prove(&SystemRandom)?;
                signed += 1;
                anyhow::Ok(())
            };
            sign.await
                .with_context(|| format!("sign with the authority of mesh {}", head.mesh.mesh()))?;
        }
        Ok(Self { opened, signed })
    }
}
