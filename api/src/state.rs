//! What every handler can reach.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use heddle_egress::Caller;
use heddle_model::clock::{Ids, SharedClock};
use heddle_model::name::Name;
use heddle_oidc::Providers;
use heddle_store::authority_requests::OutsideAuthorities;
use heddle_store::certificates::Certifier;
use heddle_store::rotations::AuthorityMaker;
use heddle_store::{Cause, KeySealer, Store};
use heddle_translate::ReportsTo;
use tokio_util::task::TaskTracker;

use crate::limits::Limits;
use crate::live::Live;

/// Draws the trust domain of a new mesh from its name; unique for ever.
pub type DrawTrustDomain = Arc<dyn Fn(&Name) -> String + Send + Sync>;

/// Writes the bundle of these roots, each in PEM, as JSON; the number grows whenever they change.
pub type WriteTrustBundle = Arc<dyn Fn(&[&str], u64) -> Result<Vec<u8>, Cause> + Send + Sync>;

/// Shared by all requests; cheap to clone.
#[derive(Clone)]
pub struct App {
    /// The database.
    pub store: Store,
    /// What time it is.
    pub clock: SharedClock,
    /// Names requests.
    pub ids: Arc<dyn Ids>,
    /// Seals the keys that sign sessions' tokens, those of second factors, and what providers are shown.
    pub sealer: Arc<dyn KeySealer>,
    /// Whether certificates can be issued right now, as it was seen last.
    pub can_sign: Arc<AtomicBool>,
    /// Where people reach the console and the API, without a slash at the end; `None`: where the request arrived.
    pub public_url: Option<String>,
    /// The same for what others have to be told before any request: where the API listens, when nothing else is known.
    pub console_url: String,
    /// The identity providers that members sign in by.
    pub providers: Arc<Providers>,
    /// Makes calls to addresses that customers name, and says which ones are called.
    pub egress: Caller,
    /// Makes the authorities that follow those of a mesh.
    pub authorities: Arc<dyn AuthorityMaker>,
    /// Makes requests for authorities under roots of others, and reads what these have signed.
    pub outside: Arc<dyn OutsideAuthorities>,
    /// Certifies keys.
    pub certifier: Arc<dyn Certifier>,
    /// What a proxy must know to connect.
    pub xds: Arc<XdsFacts>,
    /// Names trust domains.
    pub draw_trust_domain: DrawTrustDomain,
    /// Writes trust bundles.
    pub trust_bundle: WriteTrustBundle,
    /// Requests under way: they finish even when their client has gone, and a shutdown waits for them.
    pub requests: TaskTracker,
    /// Answers that stay open.
    pub live: Live,
    /// How often callers may call.
    pub limits: Limits,
}

/// What a proxy must know to connect to the xDS server.
#[derive(Debug, Clone)]
pub struct XdsFacts {
    /// Host that proxies dial: a DNS name or an IP address.
    pub host: String,
    /// Port that proxies dial.
    pub port: u16,
    /// Certificate authority of the xDS server, PEM.
    pub ca_pem: String,
    /// How long the certificate of a proxy lives: what it is told depends on it.
    pub leaf_lifetime: Duration,
    /// Where it reports to.
    pub reports: Arc<ReportsTo>,
}
