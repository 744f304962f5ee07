//! A file system of the database's own, so that it can be full without anybody else noticing. It goes with the mounts of this run.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use nix::sys::statvfs::statvfs;

use crate::inside;

/// It takes no more of the real one than is written.
const BYTES: u64 = 3 << 30;
/// What a full one has left.
const LEFT: u64 = 512 << 10;
/// What is written at once.
const PIECE: usize = 64 << 10;

/// A mounted one.
pub(crate) struct Disk {
    at: PathBuf,
}

/// What fills it, until it is dropped.
pub(crate) struct Ballast(PathBuf);

impl Drop for Ballast {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.0);
    }
}

impl Disk {
    /// Where the data directory of the database will be; none, where nothing can be mounted.
    ///
    /// # Errors
    /// The place for it cannot be made.
    pub(crate) fn mount(directory: &Path) -> anyhow::Result<Option<Self>> {
        if !inside::owns_network() {
            return Ok(None);
        }
        let image = directory.join("disk.img");
        std::fs::File::create(&image)?.set_len(BYTES)?;
        let at = directory.join("cluster");
        std::fs::create_dir(&at)?;
        let mounted = run(Command::new("mkfs.ext4")
            .args(["-q", "-m", "0"])
            .arg(&image))
        .and_then(|()| {
            run(Command::new("mount")
                .args(["-o", "loop"])
                .arg(&image)
                .arg(&at))
        });
        if mounted.is_err() {
            // As if it had not been tried.
            std::fs::remove_dir(&at)?;
            return Ok(None);
        }
        // PostgreSQL wants nobody else's directories in its own.
        let _gone = std::fs::remove_dir(at.join("lost+found"));
        Ok(Some(Self { at }))
    }

    /// Fills it.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn fill(&self) -> anyhow::Result<Ballast> {
        let ballast = Ballast(self.at.join("ballast"));
        let free = self.free()?;
        let file = std::fs::File::create(&ballast.0)?;
        nix::fcntl::posix_fallocate(&file, 0, i64::try_from(free.saturating_sub(LEFT))?)?;
        Ok(ballast)
    }

    /// Takes what has become free since.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn fill_up(&self) -> anyhow::Result<()> {
        let mut file = std::fs::File::options()
            .append(true)
            .open(self.at.join("ballast"))?;
        while self.free()? > LEFT {
            // Somebody else was faster.
            if file.write_all(&[0; PIECE]).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn free(&self) -> anyhow::Result<u64> {
        let facts = statvfs(&self.at)?;
        Ok(facts.blocks_available() * facts.fragment_size())
    }
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {said}");
    Ok(())
}
