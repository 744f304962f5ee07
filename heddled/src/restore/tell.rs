//! What is said in the end: what was done, and what a restored database cannot know.

use chrono::{DateTime, Utc};
use heddle_model::name::Name;
use heddle_store::restored::Settled;
use serde_json::{Value, json};

use super::proof::Proof;
use super::{Subject, text};
use crate::up::output::say;

/// What was committed after the last change that is in the database, nobody knows here.
const UNKNOWN: [&str; 6] = [
    "tokens, service accounts, members and roles that were taken away live again: look through them, and revoke again",
    "sessions that were ended, and passwords from before they were changed, work again: `heddled admin session-keys rotate`, and ask for new passwords where it matters",
    "join tokens that were used up or revoked can be used again: revoke those that are of no use any more",
    "identities that were revoked get certificates again: revoke them again",
    "certificates that were issued are in no journal: proxies get new ones when they come back, and `heddle_ca_unjournalled_certificates` counts those that did not",
    "invitations and links to set a password that were sent do not work, and mail that waited is given up: send them again",
];

/// What a restore has done.
pub(super) struct Restored {
    pub(super) proof: Proof,
    /// When the newest change in it was made.
    pub(super) newest: Option<DateTime<Utc>>,
    pub(super) settled: Vec<Settled>,
}

impl Restored {
    /// Says it all.
    pub(super) fn tell(&self, subject: &Subject<'_>, as_json: bool) -> anyhow::Result<()> {
        let place = subject.place.display().to_string();
        if as_json {
            let mut facts = self.facts();
            facts["data_dir"] = json!(place);
            facts["backup"] = json!(subject.manifest);
            say(&serde_json::to_string(&facts)?);
            return Ok(());
        }
        say(&format!("restored to {place}"));
        self.tell_shortly(false)?;
        if !super::is_there(&subject.place.join("tls")) {
            say(&format!(
                "\n{place}/tls is not there. `heddled up` would make a new authority there, which no proxy knows: put the one from before to it"
            ));
        }
        Ok(())
    }

    /// Without where it is.
    pub(super) fn tell_shortly(&self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            say(&serde_json::to_string(&self.facts())?);
            return Ok(());
        }
        let Proof { opened, signed } = self.proof;
        if let Some(newest) = self.newest {
            say(&format!("the newest change in it: {}", text(newest)));
        }
        say(&format!(
            "private keys that open: {opened}; meshes whose authority signs: {signed}"
        ));
        for Settled { org, meshes, mails } in &self.settled {
            for (mesh, from, to) in meshes {
                say(&format!("{org}/{mesh}: revision {from} is now {to}"));
            }
            if *mails > 0 {
                say(&format!(
                    "{org}: mails that waited and are given up: {mails}"
                ));
            }
        }
        say("\nwhat came after is not known here:");
        for line in UNKNOWN {
            say(&format!("* {line}"));
        }
        Ok(())
    }

    fn facts(&self) -> Value {
        let mesh = |org: &Name, (name, from, to): &(Name, u64, u64)| json!({"org": org, "mesh": name, "revision_before": from, "revision": to});
        let meshes = self.settled.iter().flat_map(|settled| {
            let each = settled.meshes.iter();
            each.map(|one| mesh(&settled.org, one))
        });
        json!({
            "newest_change": self.newest.map(text),
            "opened": self.proof.opened,
            "signed": self.proof.signed,
            "meshes": meshes.collect::<Vec<Value>>(),
            "mails_given_up": self.settled.iter().map(|settled| settled.mails).sum::<u64>(),
            "unknown": UNKNOWN,
        })
    }
}
