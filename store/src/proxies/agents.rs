//! Proxies that keep their keys: they have no stream of configuration, and say by their watch what they hold.

use std::collections::BTreeMap;
use std::time::Duration;

use heddle_model::id::{MeshId, OrgId, ProxyId};
use uuid::Uuid;

use crate::authz::MeshRef;
use crate::error::Result;
use crate::gather::Gather;
use crate::store::Store;
use crate::tx::Mode;

/// One of them, as it is seen now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSeen {
    /// It.
    pub proxy: ProxyId,
    /// The certificate that it holds.
    pub serial: Option<String>,
    /// The revision up to which it trusts whom it should; `None`: it is behind, or nobody knows.
    pub revision: Option<u64>,
}

/// What a process keeps for those that are seen.
pub(crate) type SeenAgents = Gather<(OrgId, MeshId), AgentSeen, ()>;

/// How long what is seen of one waits for what is seen of others. Who reads it waits for minutes.
pub(crate) const SEEN_TOGETHER: Duration = Duration::from_secs(1);

/// What is known of proxies as agents, however long ago: `agents` of a query about `heddle.proxies p`.
pub(crate) const AGENTS: &str = "left join heddle.agents agents on agents.org_id = p.org_id and agents.mesh_id = p.mesh_id \
     and agents.proxy_id = p.id";

/// Whether one of [`AGENTS`] is at work at `$4`: has been seen within the last minute.
pub(crate) const SEEN: &str = "coalesce(agents.seen_at > $4 - interval '1 minute', false)";

/// Keeps what is seen of agents. Those that were forgotten are passed over.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn agents_seen(store: &Store, mesh: &MeshRef, agents: &[AgentSeen]) -> Result<()> {
    let proxies: Vec<Uuid> = agents.iter().map(|one| one.proxy.uuid()).collect();
    // The serial is text from outside.
    let serial = |one: &AgentSeen| one.serial.clone().filter(|text| is_serial(text));
    let serials: Vec<Option<String>> = agents.iter().map(serial).collect();
    let revision = |one: &AgentSeen| one.revision.map(u64::cast_signed);
    let revisions: Vec<Option<i64>> = agents.iter().map(revision).collect();
    let mut work = store.work(mesh.org(), "xds", Mode::Soft).await?;
    let now = work.now();
    sqlx::query(
        "insert into heddle.agents (org_id, mesh_id, proxy_id, serial, revision, seen_at) \
         select p.org_id, p.mesh_id, p.id, seen.serial, seen.revision, $5 \
         from unnest($2::uuid[], $3::text[], $4::bigint[]) as seen (id, serial, revision) \
         join heddle.proxies p on p.mesh_id = $1 and p.id = seen.id \
         on conflict (org_id, mesh_id, proxy_id) do update set \
             serial = excluded.serial, seen_at = greatest(agents.seen_at, excluded.seen_at), \
             revision = excluded.revision",
    )
    .bind(mesh.mesh().uuid())
    .bind(&proxies)
    .bind(&serials)
    .bind(&revisions)
    .bind(now)
    .execute(work.conn())
    .await?;
    work.commit().await?;
    Ok(())
}

/// Keeps what is seen of one of them, together with whoever is seen at the same time: a thousand that ask for a certificate each are a
/// handful of transactions.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn agent_seen(store: &Store, mesh: &MeshRef, agent: AgentSeen) -> Result<()> {
    let (of, mesh) = (store.clone(), *mesh);
    let answer = move |agents: Vec<AgentSeen>| {
        let store = of.clone();
        async move {
            let asked = agents.len();
            // Of one that comes twice, what was seen last.
            let newest: BTreeMap<_, _> = agents.into_iter().map(|one| (one.proxy, one)).collect();
            let newest: Vec<_> = newest.into_values().collect();
            agents_seen(&store, &mesh, &newest).await?;
            Ok(vec![(); asked])
        }
    };
    let key = (mesh.org(), mesh.mesh());
    store.seen_agents().ask(key, agent, answer).await
}

fn is_serial(text: &str) -> bool {
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    text.len() == 32 && text.bytes().all(hex)
}
