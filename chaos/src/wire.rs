//! Packets that are lost, by rules in the network of this run: neither side is told.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use crate::inside;

/// What happens to packets of a port.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Loss {
    /// None passes.
    All,
    /// What the one who listens there says does not.
    Answers,
    /// So many of a hundred do not, in either direction.
    Percent(u8),
}

/// Rules that hold while it lives.
pub(crate) struct Wire(());

impl Drop for Wire {
    fn drop(&mut self) {
        let _gone = nft("delete table inet chaos\n");
    }
}

/// Why no rules can be made, if so: only in a network of our own, where nobody else's packets are lost.
pub(crate) fn lacks() -> Option<String> {
    if !inside::owns_network() {
        return Some(String::from(
            "no network of its own: only root can make one",
        ));
    }
    let check = "add table inet look\ndelete table inet look\n";
    nft(check).err().map(|error| format!("{error:#}"))
}

impl Wire {
    /// Loses packets of these ports of 127.0.0.1 from now on.
    ///
    /// # Errors
    /// The kernel does not take the rules.
    pub(crate) fn lose(ports: &[u16], loss: Loss) -> anyhow::Result<Self> {
        ensure!(inside::owns_network(), "the network is not our own");
        let ports = ports.iter().map(u16::to_string).collect::<Vec<_>>();
        let ports = ports.join(", ");
        let asked = format!("tcp dport {{ {ports} }}");
        let told = format!("tcp sport {{ {ports} }}");
        let rules = match loss {
            Loss::All => format!("{asked} drop; {told} drop"),
            Loss::Answers => format!("{told} drop"),
            Loss::Percent(percent) => {
                let some = format!("numgen random mod 100 < {percent} drop");
                format!("{asked} {some}; {told} {some}")
            }
        };
        nft(&format!(
            "table inet chaos {{\nchain lost {{\ntype filter hook input priority 0; policy accept; {rules};\n}}\n}}\n"
        ))?;
        Ok(Self(()))
    }
}

fn nft(rules: &str) -> anyhow::Result<()> {
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("start nft")?;
    let mut rules_to = child.stdin.take().context("nft reads")?;
    rules_to.write_all(rules.as_bytes())?;
    drop(rules_to);
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "nft: {said}");
    Ok(())
}
