//! A cluster that comes from a backup: put beside its place, recovered there for once, and moved when it is whole.

use std::ffi::OsString;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::{Postgres, is_ready};
use crate::up::files::private_dir;
use crate::up::process::Child;
use crate::up::wait;

/// How long replaying what was written after the backup may take.
const REPLAY: Duration = Duration::from_secs(6 * 3600);
/// Who is let in while it is recovered: whoever reaches the socket, in a directory that nobody else enters.
const DOOR: &str = "recover.hba.conf";

impl Postgres {
    /// The same with its cluster beside its place, and a new directory there in place of what an earlier try has left.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub(crate) fn beside(mut self) -> anyhow::Result<Self> {
        self.cluster = self.cluster.with_extension("new");
        match std::fs::remove_dir_all(&self.cluster) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("remove {}", self.cluster.display()));
            }
            _ => {}
        }
        private_dir(&self.cluster)?;
        self.socket_directory()?;
        Ok(self)
    }

    /// Where the cluster is.
    pub(crate) fn cluster(&self) -> &Path {
        &self.cluster
    }

    /// The address of a database as any role: only while it is recovered.
    pub(crate) fn url_of(&self, database: &str, role: &str) -> String {
        self.url(database, role)
    }

    /// Starts it to replay what was written, up to this time or to the end.
    ///
    /// # Errors
    /// The files cannot be prepared.
    pub(crate) fn recover(&self, until: Option<&str>) -> anyhow::Result<Child> {
        let write = |path: PathBuf, text: &str| {
            std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))
        };
        write(self.cluster.join("recovery.signal"), "")?;
        // A cluster whose configuration lies elsewhere comes without; it is given its own again by whoever runs it.
        for file in ["postgresql.conf", "pg_hba.conf"] {
            let path = self.cluster.join(file);
            if !path.exists() {
                write(path, "")?;
            }
        }
        write(self.sockets.join(DOOR), "local all all trust\n")?;
        self.hand_over_all()?;
        let mut spec = self.server();
        let mut settings = vec![
            "hba_file={dir1}/recover.hba.conf".to_owned(),
            // What was written lies in pg_wal already.
            "restore_command=false".to_owned(),
            "recovery_target_timeline=latest".to_owned(),
            "recovery_target_action=promote".to_owned(),
            // Nobody reads meanwhile, so none of the settings has to be that of the server that was backed up.
            "hot_standby=off".to_owned(),
            "port=5432".to_owned(),
            "ssl=off".to_owned(),
            "archive_mode=off".to_owned(),
            "shared_preload_libraries=".to_owned(),
        ];
        settings.extend(until.map(|until| format!("recovery_target_time={until}")));
        let flags = settings
            .into_iter()
            .flat_map(|setting| [OsString::from("-c"), OsString::from(setting)]);
        spec.args.extend(flags);
        Ok(Child::start(spec))
    }

    /// Waits until it has replayed everything and takes writes.
    ///
    /// # Errors
    /// It fails once: what it says is in the error.
    pub(crate) async fn recovered(&self, child: &Child) -> anyhow::Result<()> {
        let pid_file = self.cluster.join("postmaster.pid");
        wait::until("PostgreSQL has recovered", REPLAY, async || {
            child.check(1)?;
            Ok(is_ready(&pid_file, child.pid()).then_some(()))
        })
        .await
    }

    /// Moves the cluster to its place. PostgreSQL has been stopped.
    ///
    /// # Errors
    /// It cannot be moved.
    pub(crate) fn settle(&self, place: &Path) -> anyhow::Result<()> {
        // It is not there when nothing was recovered.
        let _ = std::fs::remove_file(self.sockets.join(DOOR));
        std::fs::rename(&self.cluster, place)
            .with_context(|| format!("move the cluster to {}", place.display()))
    }

    fn hand_over_all(&self) -> anyhow::Result<()> {
        let open = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(&self.cluster, open)
            .with_context(|| format!("close {}", self.cluster.display()))?;
        let Some(account) = self.account else {
            return Ok(());
        };
        let mut left = vec![self.cluster.clone(), self.sockets.join(DOOR)];
        while let Some(path) = left.pop() {
            chown(&path, Some(account.uid), Some(account.gid))
                .with_context(|| format!("hand over {}", path.display()))?;
            if path.is_dir() {
                let entries = std::fs::read_dir(&path)
                    .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
                    .with_context(|| format!("read {}", path.display()))?;
                left.extend(entries.iter().map(std::fs::DirEntry::path));
            }
        }
        Ok(())
    }
}
