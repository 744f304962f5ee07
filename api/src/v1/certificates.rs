//! Certificates for keys of programs that are no proxies. Who a certificate is for follows from the address and from what the caller
//! may do; a request brings a key, and the proof that whoever sends it has the other half.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use heddle_model::authz::permission::CertificateIssue;
use heddle_model::code::Code;
use heddle_model::kind::Kind;
use heddle_model::name::Name;
use heddle_model::violation::Violation;
use heddle_store::certificates::{self, Certified, For};
use heddle_store::meshes::{self, MeshRow};
use heddle_store::{Error, Tx, resources, revocations};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::auth::Allow;
use crate::extract::{Headers, JsonBytes, Query, Segments, decode};
use crate::intent::Intent;
use crate::problem::Problem;
use crate::state::App;
use crate::view;

/// The path of the collection. What is in it is read by nobody: the audit log and the journal keep what was issued.
pub(crate) const COLLECTION: &str = "/v1/orgs/{org}/meshes/{mesh}/services/{service}/certificates";

/// A key that is to be certified.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateCertificate {
    /// A certificate request (PKCS#10) that the key has signed, in PEM or as base64 of DER. Keys are on P-256 or P-384, or RSA with 2048 to
    /// 4096 bits. Nothing else of it is read.
    #[schema(min_length = 1, max_length = 16384)]
    pub(crate) request: String,
}

/// An example of the body: a request like any other, whose key nobody has.
pub(crate) fn sample() -> Value {
    json!({"request": concat!(
        "-----BEGIN CERTIFICATE REQUEST-----\n",
        "MIHcMIGEAgEAMCIxIDAeBgNVBAMMF2EtbmFtZS10aGF0LWlzLW5vdC1yZWFkMFkw\n",
        "EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEStAGUgZZutfgB+YqabCobMGmiHcBpR+C\n",
        "vKk90JPvqd8EhnmBVqLiXxiM2MMtTdgHoloFrCHPj307XLypQi8/LaAAMAoGCCqG\n",
        "SM49BAMCA0cAMEQCIEIfYpogZla1R6zgCNMVfm8yuOlO/2roFZY2i8tdegCLAiAg\n",
        "HAe+4+NSPi85kkASBRK0ohTx+/FEFQZ2Kt6KjVpOcA==\n",
        "-----END CERTIFICATE REQUEST-----\n",
    )})
}

/// A dry run signs nothing, so there is only who it would be for.
fn render(wanted: &For, given: Option<&Certified>) -> Value {
    let spiffe_id = format!(
        "spiffe://{}/service/{}",
        wanted.trust_domain, wanted.service
    );
    let leaf = given.map(|given| first(&given.chain_pem));
    json!({
        "spiffe_id": given.map_or(spiffe_id.as_str(), |given| given.spiffe_id.as_str()),
        "trust_domain": wanted.trust_domain,
        "serial": given.map(|given| &given.serial),
        "certificate_pem": leaf,
        "chain_pem": given.map(|given| &given.chain_pem),
        "bundle_pem": given.map(|given| &given.bundle_pem),
        "not_before": given.map(|given| view::time(given.not_before)),
        "not_after": given.map(|given| view::time(given.not_after)),
        "renew_at": given.map(|given| view::time(given.renew_at)),
    })
}

/// The first of several certificates in PEM.
fn first(chain: &str) -> &str {
    const END: &str = "-----END CERTIFICATE-----\n";
    let end = chain.find(END).map_or(chain.len(), |at| at + END.len());
    chain.get(..end).unwrap_or(chain)
}

/// The service that is meant, if the caller may have its identity and nobody has revoked that.
async fn admit(
    tx: &mut Tx<CertificateIssue>,
    mesh: &MeshRow,
    service: &str,
) -> Result<Name, Problem> {
    let found = resources::find(tx, mesh.id, Kind::Service, None, service).await?;
    let name = match &found {
        Some(found) => Some(found.name.clone()),
        None => service.parse().ok(),
    };
    // Before it is said whether there is one: who may not have it hears of no service.
    if let Some(name) = &name {
        certificates::require_service(tx, mesh.id, name).await?;
    }
    let name = found.ok_or_else(Problem::not_found)?.name;
    match revocations::is_revoked(tx, mesh.id, &name).await? {
        true => Err(Error::Barred.into()),
        false => Ok(name),
    }
}

pub(crate) async fn create(
    Allow(grant): Allow<CertificateIssue>,
    State(app): State<App>,
    Segments((_, mesh, service)): Segments<(String, String, String)>,
    (mut query, Headers(headers), OriginalUri(uri)): (Query, Headers, OriginalUri),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?.once(&headers, &uri, &body)?;
    query.finish()?;
    let CreateCertificate { request } = decode(&body)?;
    let request = app.certifier.read(&request).map_err(|why| {
        Problem::from(Violation {
            pointer: String::from("/request"),
            code: Code::RequestRefused,
            detail: why,
            hint: None,
        })
    })?;
    // Two transactions with the signature between them: the journal writes in one of its own, and nobody waits for it with a mesh or a
    // connection in hand. What the first one found out is asked again by the second, which gives the certificate out or keeps it back.
    let mut tx = app.store.begin(&grant).await?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        return Ok(answer);
    }
    let row = meshes::find(&mut tx, &mesh).await?;
    let row = row.ok_or_else(Problem::not_found)?;
    let service = admit(&mut tx, &row, &service).await?;
    certificates::require_room(&mut tx).await?;
    let wanted = For {
        mesh: tx.mesh_ref(&row),
        trust_domain: row.trust_domain.clone(),
        service,
        holder: grant.holder(),
    };
    if intent.dry_run {
        let answer = (StatusCode::CREATED, Json(render(&wanted, None)));
        return intent.finish(tx, answer.into_response()).await;
    }
    drop(tx);
    let given = app.certifier.certify(&wanted, &request).await?;
    let mut tx = app.store.begin(&grant).await?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        // The same request, sent twice at once: one of the two answers is given twice, and this certificate to nobody.
        return Ok(answer);
    }
    let now = meshes::require(&mut tx, &row.id.to_string()).await?;
    let service = admit(&mut tx, &now, wanted.service.as_str()).await?;
    certificates::give(&mut tx, now.id, &service, &given, row.revision).await?;
    let answer = (StatusCode::CREATED, Json(render(&wanted, Some(&given))));
    intent.finish(tx, answer.into_response()).await
}
