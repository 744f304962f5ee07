//! What a server is sending right now, and who has to wait for that.

use std::collections::{BTreeMap, HashMap};

use heddle_model::id::{OrgId, WebhookId};
use heddle_store::webhooks::Turn;
use tokio::task::Id;

/// How many webhooks a server sends to at once. A call that nobody answers is an open connection for five seconds, and little else.
const MOST: usize = 128;
/// How many of them are of one organisation.
const MOST_OF_ONE: usize = 8;
/// From so many on, only organisations come in that have none: whoever answers slowly keeps nobody else waiting.
const CROWDED: usize = MOST / 2;

/// The webhooks that are being sent to.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    tasks: HashMap<Id, (OrgId, WebhookId)>,
}

impl InFlight {
    pub(super) fn has_room(&self) -> bool {
        self.tasks.len() < MOST
    }

    pub(super) fn add(&mut self, task: Id, turn: &Turn) {
        self.tasks.insert(task, (turn.org(), turn.webhook()));
    }

    pub(super) fn remove(&mut self, task: Id) {
        self.tasks.remove(&task);
    }

    /// The organisations that have enough, and the webhooks.
    pub(super) fn busy(&self) -> (Vec<OrgId>, Vec<WebhookId>) {
        let most = match self.tasks.len() < CROWDED {
            true => MOST_OF_ONE,
            false => 1,
        };
        let mut of_org: BTreeMap<OrgId, usize> = BTreeMap::new();
        for (org, _) in self.tasks.values() {
            *of_org.entry(*org).or_default() += 1;
        }
        let orgs = of_org.into_iter().filter(|(_, count)| *count >= most);
        let webhooks = self.tasks.values().map(|(_, webhook)| *webhook);
        (orgs.map(|(org, _)| org).collect(), webhooks.collect())
    }
}
