//! Sealed keys are shown one after the other, and replaced by what is given for them.

use std::sync::atomic::{AtomicUsize, Ordering};

use heddle_store::reseal::{self, Place, Resealed, Resealer};
use heddle_store::{Cause, Error, authorities, rotate_session_keys};

use crate::authorities::hierarchy;
use crate::build::{mesh, mesh_ref};
use crate::sessions::Glass;
use crate::support::TestDb;

const NEW: [u8; 3] = [9, 9, 9];

/// Replaces so many keys, and breaks then.
struct Until(AtomicUsize);

impl Resealer for Until {
    fn reseal(&self, _: Place, sealed: &[u8]) -> Result<Option<Vec<u8>>, Cause> {
        if sealed == NEW {
            return Ok(None);
        }
        let left = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        left.map_err(|_| "it was stopped")?;
        Ok(Some(NEW.to_vec()))
    }
}

fn after(keys: usize) -> Until {
    Until(AtomicUsize::new(keys))
}

#[tokio::test]
async fn sec_c14_sealing_anew_goes_on_where_it_was_stopped_and_does_nothing_twice() {
    let db = TestDb::new().await;
    rotate_session_keys(&db.store, &Glass::default())
        .await
        .unwrap();
    let mut meshes = Vec::new();
    for (seed, org) in [(1, "acme"), (2, "other")] {
        let owner = db.owner(org).await;
        let row = mesh(&db.store, &owner, "prod").await;
        let mesh = mesh_ref(&db.store, &owner, &row).await;
        authorities::create(&db.store, &mesh, &hierarchy(seed))
            .await
            .unwrap();
        meshes.push(mesh);
    }
    // Stopped within the second mesh: what was done in the first one stays.
    let stopped = reseal::reseal(&db.store, &after(4)).await;
    assert!(matches!(stopped, Err(Error::Database(_))), "{stopped:?}");
    let rest = reseal::reseal(&db.store, &after(9)).await.unwrap();
    assert_eq!(
        rest,
        Resealed {
            seen: 5,
            replaced: 2
        }
    );
    let again = reseal::reseal(&db.store, &after(0)).await.unwrap();
    assert_eq!(
        again,
        Resealed {
            seen: 5,
            replaced: 0
        }
    );
    for mesh in meshes {
        let rows = authorities::load(&db.store, &mesh).await.unwrap();
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|row| row.sealed_key == NEW));
    }
}
