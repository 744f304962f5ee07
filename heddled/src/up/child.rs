//! `heddled child`: the step between the supervisor and a program that must not outlive it.
//!
//! The kernel can signal a process when its parent ends, but only a process can ask for that itself,
//! after it has given up its privileges (changing the user clears the request) and before it becomes
//! another program. Doing this between fork and exec would need unsafe code; a program of its own does not.

use std::fs::File;
use std::os::fd::{AsRawFd as _, IntoRawFd as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::unistd::{Gid, Pid, Uid, getppid, setgid, setgroups, setuid};

use crate::cli::ChildArgs;

/// Becomes the program. Returns only when that fails.
pub(crate) fn run(args: &ChildArgs) -> anyhow::Result<ExitCode> {
    let mut held = Vec::with_capacity(args.hold_dir.len());
    for dir in &args.hold_dir {
        let dir_file = File::open(dir).with_context(|| format!("open {}", dir.display()))?;
        fcntl(&dir_file, FcntlArg::F_SETFD(FdFlag::empty()))
            .with_context(|| format!("keep {} open", dir.display()))?;
        held.push(format!("/proc/self/fd/{}", dir_file.as_raw_fd()));
        // Left open on purpose: the program reaches the directory through it, whatever lies above.
        let _ = dir_file.into_raw_fd();
    }
    if let (Some(uid), Some(gid)) = (args.uid, args.gid) {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        setgroups(&[gid]).context("drop supplementary groups")?;
        setgid(gid).context("change the group")?;
        setuid(uid).context("change the user")?;
    }
    nix::sys::prctl::set_pdeathsig(args.die_with).context("ask to die with the parent")?;
    if getppid() != Pid::from_raw(args.parent) {
        bail!("the supervisor {} has ended already", args.parent);
    }
    let (program, arguments) = args.command.split_first().context("no program is named")?;
    let arguments = arguments.iter().map(|argument| match argument.to_str() {
        Some(text) => fill(text, &held).into(),
        None => argument.clone(),
    });
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("start {}", program.display()))
}

/// Replaces `{dir0}`, `{dir1}`, ... by paths that lead through the directories held open.
fn fill(argument: &str, held: &[String]) -> String {
    held.iter()
        .enumerate()
        .fold(argument.to_owned(), |text, (index, path)| {
            text.replace(&format!("{{dir{index}}}"), path)
        })
}

#[cfg(test)]
mod tests {
    #[test]
    fn placeholders_are_filled_and_nothing_else() {
        let held = ["/a".to_owned(), "/b".to_owned()];
        assert_eq!(super::fill("--x={dir1}/y{dir0}", &held), "--x=/b/y/a");
        assert_eq!(super::fill("{dir2}", &held), "{dir2}");
    }
}
