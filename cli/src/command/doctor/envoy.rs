//! The Envoy: which it is, whether it runs, and what it says of its connection.

use serde_json::Value;

use super::{NETWORK, Report};
use crate::args::proxy::Doctor;
use crate::host::admin::Admin;
use crate::host::bootstrap::{Facts, Token};
use crate::host::envoy::{self, OLDEST, Version};

const CONNECTED: &str = "control_plane.connected_state";
const REJECTED: [(&str, &str); 2] = [
    ("cluster_manager.cds.update_rejected", "clusters"),
    ("listener_manager.lds.update_rejected", "listeners"),
];
const TAKEN: [&str; 2] = [
    "cluster_manager.cds.update_success",
    "listener_manager.lds.update_success",
];

const STEPS: [&str; 4] = [
    "it is ready",
    "it is this one",
    "connected to the server",
    "configuration",
];

pub(super) async fn look(report: &mut Report, facts: &Facts, args: &Doctor) {
    binary(report, args).await;
    let address = args.admin.as_deref().or(facts.admin.as_deref());
    let Some(address) = address else {
        report.bad(
            "admin interface",
            "the bootstrap has none",
            "name it with --admin, or write the bootstrap anew with `heddle bootstrap`",
        );
        return skip(report);
    };
    let admin = match Admin::at(address) {
        Ok(admin) => admin,
        Err(why) => {
            report.bad(
                "admin interface",
                why,
                "name it with --admin, such as http://127.0.0.1:15000",
            );
            return skip(report);
        }
    };
    let info = match admin.json("/server_info").await {
        Ok(info) => info,
        Err(why) => {
            report.bad(
                "admin interface",
                format!("{} does not answer: {why}", admin.base()),
                format!(
                    "is Envoy running? It is started with: envoy -c {}; if it ends at once, its last lines say why",
                    args.bootstrap.display()
                ),
            );
            return skip(report);
        }
    };
    running(report, &admin, &info);
    ready(report, &admin, &info).await;
    same(report, facts, &info);
    stats(report, facts, &admin).await;
}

fn skip(report: &mut Report) {
    for step in STEPS {
        report.skip(step, "the admin interface does not answer");
    }
}

async fn binary(report: &mut Report, args: &Doctor) {
    let Some(path) = envoy::find(args.envoy.as_deref()) else {
        // It may run in a container that is not this one.
        report.odd(
            "binary",
            "there is no envoy where the shell looks",
            "name it with --envoy if it is elsewhere on this host",
        );
        return;
    };
    match envoy::version(&path).await {
        Ok(version) => judge(report, "binary", version, &path.display().to_string()),
        Err(why) => report.bad(
            "binary",
            format!("{}: {why}", path.display()),
            "install an Envoy that runs on this host",
        ),
    }
}

fn judge(report: &mut Report, what: &'static str, version: Version, place: &str) {
    if version.is_supported() {
        report.good(what, format!("Envoy {version}, {place}"));
    } else {
        report.bad(
            what,
            format!("Envoy {version} is older than what is supported, {place}"),
            format!("install Envoy {OLDEST} or newer"),
        );
    }
}

fn running(report: &mut Report, admin: &Admin, info: &Value) {
    let version = info["version"].as_str().unwrap_or_default();
    match Version::find(version) {
        Some(version) => judge(report, "admin interface", version, admin.base()),
        None => report.odd(
            "admin interface",
            format!("{} does not say which Envoy it is", admin.base()),
            "is it an Envoy?",
        ),
    }
}

async fn ready(report: &mut Report, admin: &Admin, info: &Value) {
    let state = info["state"].as_str().unwrap_or("?");
    match admin.get("/ready").await {
        Ok(page) if page.ok => report.good(STEPS[0], state.to_owned()),
        Ok(_) => report.bad(
            STEPS[0],
            format!("it is {state}"),
            "PRE_INITIALIZING and INITIALIZING: it waits for its first configuration, see below; DRAINING: somebody is stopping it",
        ),
        Err(why) => report.bad(STEPS[0], why, "is Envoy overloaded?"),
    }
}

/// Whether what answers was started with this bootstrap.
fn same(report: &mut Report, facts: &Facts, info: &Value) {
    let running = info["node"]["id"].as_str();
    match (running, facts.node_id.as_deref()) {
        (Some(running), Some(ours)) if running == ours => {
            report.good(STEPS[1], format!("it calls itself {running}"));
        }
        (Some(running), Some(ours)) => report.bad(
            STEPS[1],
            format!("the Envoy that answers calls itself {running}, and the bootstrap says {ours}"),
            "start it with this bootstrap, or name the admin interface of the right one with --admin",
        ),
        _ => report.skip(STEPS[1], "it does not say what it calls itself"),
    }
}

async fn stats(report: &mut Report, facts: &Facts, admin: &Admin) {
    let names: Vec<&str> = std::iter::once(CONNECTED)
        .chain(REJECTED.iter().map(|one| one.0))
        .chain(TAKEN)
        .collect();
    let stats = match admin.stats(&names).await {
        Ok(stats) => stats,
        Err(why) => {
            report.bad(STEPS[2], why, "is Envoy overloaded?");
            return;
        }
    };
    let of = |name: &str| stats.get(name).copied().unwrap_or_default();
    // With the token in a file, a stream waits for its connection, and Envoy counts it from the beginning.
    let waits = matches!(facts.token, Some(Token::File(_))) && report.is_bad(NETWORK);
    match of(CONNECTED) {
        1 if waits => report.odd(
            STEPS[2],
            "it has a stream or waits for one: it counts both",
            "mend what is red above: it connects by itself within ten seconds",
        ),
        1 => report.good(STEPS[2], "its stream is open"),
        _ => report.bad(
            STEPS[2],
            "it has no stream",
            "what is red above says why; if nothing is, the Envoy may run in a network of its own, or as a user that cannot read the token: its log says what it tried",
        ),
    }
    let refused: Vec<&str> = REJECTED
        .iter()
        .filter(|one| of(one.0) > 0)
        .map(|one| one.1)
        .collect();
    if !refused.is_empty() {
        report.bad(
            STEPS[3],
            format!(
                "it has refused {} since it was started",
                refused.join(" and ")
            ),
            "`heddle proxies nacks` explains what and why",
        );
    } else if TAKEN.iter().all(|name| of(name) > 0) {
        report.good(
            STEPS[3],
            "it has taken clusters and listeners, and refused none",
        );
    } else {
        report.bad(
            STEPS[3],
            "it has not got everything yet",
            "if it is connected, `heddle proxies config PROXY` shows what it is told",
        );
    }
}
