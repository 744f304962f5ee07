//! O8: the audit logs of both organisations verify.

use super::verdict;
use crate::case::Verdict;
use crate::world::World;

pub(super) async fn judge(world: &World) -> Verdict {
    let mut says = Vec::new();
    let mut good = true;
    for org in ["acme", "rival"] {
        let server = &world.replicas[0].server;
        let output = server
            .admin_output(&["audit", "verify", "--org", org])
            .await;
        good &= output.status.success();
        let text = match output.status.success() {
            true => String::from_utf8_lossy(&output.stdout).into_owned(),
            false => String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        says.push(match output.status.success() {
            true => format!("{org}: {} chains verify", text.lines().count()),
            false => format!("{org}: {text}"),
        });
    }
    verdict("O8 audit", Ok((good, says.join("; "))))
}
