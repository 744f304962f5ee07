//! Namespaces of its own, when whoever starts it may make them: what is done to the network is done to nobody else, and
//! whatever was started ends with the run, however that ends.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Context as _;

/// Says in the environment how the program was started again.
const MARK: &str = "HEDDLE_CHAOS_INSIDE";
/// What it says where there are some.
const NAMESPACES: &str = "namespaces";
/// What the harness starts as the server.
const HEDDLED: &str = "HEDDLE_TEST_HEDDLED";

/// Whether this is the program as [`enter`] starts it.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Whether the network is its own: packets can be dropped.
pub(crate) fn owns_network() -> bool {
    std::env::var_os(MARK).is_some_and(|how| how == NAMESPACES)
}

/// Runs this program in namespaces of its own, where it may; otherwise without. How it ended.
///
/// # Errors
/// The server's binary is not there, or the program cannot be started.
pub(crate) fn enter(heddled: &Path) -> anyhow::Result<ExitCode> {
    let heddled = heddled
        .canonicalize()
        .with_context(|| format!("find {}", heddled.display()))?;
    let own = std::env::current_exe().context("find this program")?;
    let namespaces = nix::unistd::geteuid().is_root() && can_unshare();
    // Whatever ends this process, the kernel ends the other one with it, and so all that that one has started.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]);
    if namespaces {
        let up = r#"ip link set lo up && exec "$@""#;
        command.arg("unshare").args(UNSHARE);
        command.args(["--", "sh", "-c", up, "sh"]);
    }
    let status = command
        .arg(own)
        .args(std::env::args_os().skip(1))
        .env(MARK, if namespaces { NAMESPACES } else { "plain" })
        .env(HEDDLED, heddled)
        // A panic of the harness is a verdict here.
        .env("RUST_BACKTRACE", "0")
        .status()
        .context("start again")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// A network, processes and mounts of its own; everything in it is killed with `unshare` itself.
const UNSHARE: [&str; 6] = [
    "--net",
    "--pid",
    "--mount",
    "--mount-proc",
    "--fork",
    "--kill-child=SIGKILL",
];

fn can_unshare() -> bool {
    let tried = Command::new("unshare")
        .args(UNSHARE)
        .args(["--", "ip", "link", "set", "lo", "up"])
        .output();
    tried.is_ok_and(|output| output.status.success())
}
