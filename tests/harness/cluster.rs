//! A cluster that is made and migrated already, so that not every test makes its own: once for each build of the server.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use tokio::process::Command;

use crate::postgres::Postgres;
use crate::process::{heddled, run, scratch};

/// What `heddled up` calls it in a data directory.
const CLUSTER: &str = "postgres";

/// Puts one into a data directory that is not there yet.
pub(crate) async fn place(data: &Path) {
    std::fs::create_dir(data).expect("a data directory");
    private(data);
    let kept = Kept::of_this_build();
    // Whoever comes while it is made waits, in this process and in others.
    let file = File::create(kept.beside("lock")).expect("a lock");
    let held = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
    let _held = held.expect("it is waited for").expect("a lock");
    if !kept.is_whole() {
        kept.make().await;
    }
    copy(&kept.cluster(), data).await;
}

/// Where it is kept: beside the server that migrated it.
struct Kept {
    directory: PathBuf,
    /// What tells one build of the server from another.
    build: String,
}

impl Kept {
    fn of_this_build() -> Self {
        let server = heddled();
        let about = server.metadata().expect("the server is a file");
        let written = about.modified().expect("it was written some time");
        let written = written.duration_since(UNIX_EPOCH).expect("after 1970");
        let directory = server.with_file_name("test-cluster");
        std::fs::create_dir_all(&directory).expect("a directory");
        Self {
            directory,
            build: format!("{} {}", about.len(), written.as_nanos()),
        }
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn cluster(&self) -> PathBuf {
        self.beside(CLUSTER)
    }

    fn is_whole(&self) -> bool {
        std::fs::read_to_string(self.beside("build")).is_ok_and(|build| build == self.build)
    }

    async fn make(&self) {
        // Nobody takes half of it for the whole.
        let _none = std::fs::remove_file(self.beside("build"));
        let _none = std::fs::remove_dir_all(self.cluster());
        let place = scratch("heddle-it-");
        let data = place.path().join("cluster");
        let postgres = Postgres::start_in(&data).await;
        let mut migrate = Command::new(heddled());
        migrate
            .arg("migrate")
            .env("DATABASE_URL", postgres.server_url())
            .env("HEDDLE_MIGRATE_DATABASE_URL", postgres.admin_url());
        run(&mut migrate).await;
        // Ended in order, so that a copy has nothing to recover.
        postgres.stop().await;
        copy(&data.join(CLUSTER), &self.directory).await;
        std::fs::write(self.beside("build"), &self.build).expect("it is kept");
    }
}

/// Copies a directory into another one, owners and all.
async fn copy(directory: &Path, into: &Path) {
    let mut copy = Command::new("cp");
    copy.args(["-a", "--reflink=auto"]).arg(directory).arg(into);
    run(&mut copy).await;
}

fn private(directory: &Path) {
    let mode = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(directory, mode).expect("own directory");
}
