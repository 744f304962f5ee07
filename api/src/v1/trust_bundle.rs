//! Whom the proxies of a mesh trust, for verifiers that are none of them: a SPIFFE bundle document.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use heddle_model::authz::permission::MeshRead;
use heddle_store::{authorities, meshes};
use http::header;

use crate::auth::Allow;
use crate::extract::{Query, Segments};
use crate::problem::Problem;
use crate::state::App;

/// The path.
pub(crate) const PATH: &str = "/v1/orgs/{org}/meshes/{mesh}/trust-bundle";

pub(crate) async fn get(
    Allow(grant): Allow<MeshRead>,
    State(app): State<App>,
    Segments((_, mesh)): Segments<(String, String)>,
    query: Query,
) -> Result<Response, Problem> {
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let found = meshes::require(&mut tx, &mesh).await?;
    let mesh = tx.mesh_ref(&found);
    drop(tx);
    let rows = authorities::load(&app.store, &mesh).await?;
    let roots: Vec<&str> = authorities::trusted(&rows)
        .map(|row| row.certificate_pem.as_str())
        .collect();
    let document = (app.trust_bundle)(&roots, authorities::sequence(&rows))
        .map_err(|cause| Problem::internal(&*cause))?;
    // JSON as RFC 7517 calls it; read by the same parsers.
    Ok(([(header::CONTENT_TYPE, "application/json")], document).into_response())
}
