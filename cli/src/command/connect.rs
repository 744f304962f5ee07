//! An Envoy of this host joins the mesh: its files, the line that starts it, and then, light by light, how it arrives.

mod lights;
mod watch;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::args::proxy::Connect;
use crate::command::bootstrap::{absolute, make_token, render, token_in};
use crate::failure::{Exit, Failure};
use crate::host::admin::Admin;
use crate::host::envoy::{self, OLDEST, Version};
use crate::host::files;
use crate::output::{self, Format, data, plain, say};
use crate::place::Here;
use lights::Lights;

/// How long an Envoy that is asked to end may take.
const GOODBYE: Duration = Duration::from_secs(10);

/// The files, as Envoy is told of them.
struct Files {
    bootstrap: PathBuf,
    token: PathBuf,
}

pub(crate) async fn connect(here: &Here, args: &Connect) -> Result<(), Failure> {
    let mesh = here.mesh()?;
    let proxy = match &args.proxy {
        Some(name) => name.clone(),
        None => own_name(&args.service),
    };
    let binary = look_at_envoy(args).await?;
    let files = prepare(here, mesh, args, &proxy).await?;
    let line = start_line(binary.as_deref(), &files.bootstrap);
    match args.shown.output {
        Format::Json | Format::Yaml => {}
        Format::Table | Format::Wide | Format::Name => data(&format!("{line}\n"))?,
    }
    let mut child = match args.run {
        true => Some(start(binary.as_deref(), &files.bootstrap)?),
        false => None,
    };
    if args.no_wait {
        return finish(args, &proxy, &files, &line, &Value::Null);
    }
    if child.is_none() {
        say("Start it with the line above. Waiting for it; Ctrl-C ends the wait and nothing else.");
    }
    let until = Instant::now() + Duration::from_secs(args.timeout);
    let mut lights = Lights::default();
    let arrived = tokio::select! {
        arrived = watch::until_ready(here, &args.service, &proxy, until, &mut lights) => arrived,
        ended = ended(child.as_mut()) => Err(ended.hint(format!(
            "its last lines say why; `heddle doctor {}` looks at the rest", files.bootstrap.display()
        ))),
        () = interrupted() => {
            stop(child).await;
            return Err(Failure::new(Exit::Timeout, "it was not waited for"));
        }
    };
    match arrived {
        Ok(found) => {
            finish(args, &proxy, &files, &line, &found)?;
            match child {
                Some(child) => stay(child).await,
                None => Ok(()),
            }
        }
        Err(failure) => {
            stop(child).await;
            match failure.exit() {
                Exit::Timeout => Err(failure.hint(lights.hint(&files.bootstrap))),
                _ => Err(failure),
            }
        }
    }
}

fn finish(
    args: &Connect,
    proxy: &str,
    files: &Files,
    line: &str,
    found: &Value,
) -> Result<(), Failure> {
    let all = json!({
        "service": args.service,
        "name": proxy,
        "bootstrap": files.bootstrap,
        "join_token_file": files.token,
        "start": line,
        "proxy": found,
    });
    match args.shown.output {
        Format::Json => data(&output::json(&all)?),
        Format::Yaml => data(&output::yaml(&all)?),
        Format::Table | Format::Wide | Format::Name => Ok(()),
    }
}

/// The service, and what this host is called.
fn own_name(service: &str) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let host: String = host.trim().chars().filter(plain).take(60).collect();
    match host.is_empty() {
        true => format!("{service}-1"),
        false => format!("{service}-{host}"),
    }
}

/// The Envoy that is to be started, if there is one here; nothing is written for one that is too old.
async fn look_at_envoy(args: &Connect) -> Result<Option<PathBuf>, Failure> {
    if let Some(address) = &args.admin {
        let unreachable = |why| {
            Failure::error(format!(
                "the admin interface {address} does not answer: {why}"
            ))
            .hint("is Envoy running there? Leave out --admin if none runs yet")
        };
        let admin = Admin::at(address).map_err(unreachable)?;
        let info = admin.json("/server_info").await.map_err(unreachable)?;
        let version = info["version"].as_str().and_then(Version::find);
        supported(version, address)?;
    }
    let Some(binary) = envoy::find(args.envoy.as_deref()) else {
        if args.run || args.envoy.is_some() {
            return Err(
                Failure::new(Exit::NotFound, "there is no envoy where the shell looks")
                    .hint("install it, or name it with --envoy"),
            );
        }
        say("There is no envoy on this host's PATH: start it wherever it is.");
        return Ok(None);
    };
    let version = envoy::version(&binary).await.map_err(|why| {
        Failure::error(format!("{}: {why}", binary.display())).hint("name another one with --envoy")
    })?;
    supported(Some(version), &binary.display().to_string())?;
    Ok(Some(binary))
}

fn supported(version: Option<Version>, place: &str) -> Result<(), Failure> {
    match version {
        Some(version) if version.is_supported() => {
            say(&format!("Envoy {version}: {}", plain(place)));
            Ok(())
        }
        Some(version) => Err(Failure::error(format!(
            "{place} is Envoy {version}, which is older than what is supported"
        ))
        .hint(format!("install Envoy {OLDEST} or newer"))),
        None => Err(Failure::error(format!("{place} is no Envoy"))),
    }
}

/// Writes bootstrap and token.
async fn prepare(here: &Here, mesh: &str, args: &Connect, proxy: &str) -> Result<Files, Failure> {
    let folder = absolute(&args.dir)?;
    let files = Files {
        bootstrap: folder.join("envoy.yaml"),
        token: match &args.join_token {
            Some(path) => absolute(path)?,
            None => folder.join("token"),
        },
    };
    let given = args.join_token.as_deref().map(token_in).transpose()?;
    let client = match given {
        Some(token) => here.as_holder(token)?,
        None => here.client().await?,
    };
    let token = Some(files.token.as_path());
    // First what can go wrong without a trace.
    let bootstrap = render(&client, mesh, &args.service, proxy, &args.instance, token).await?;
    std::fs::create_dir_all(&folder)
        .map_err(|error| Failure::io(&format!("make the folder {}", folder.display()), &error))?;
    if args.join_token.is_none() {
        let made = make_token(&client, mesh, &args.service, proxy, false).await?;
        files::write_token(&files.token, &made.secret)?;
        say(&format!(
            "Join token {}: {}",
            plain(&made.name),
            files.token.display()
        ));
    }
    files::write(&files.bootstrap, &output::yaml(&bootstrap)?, 0o644)?;
    say(&format!("Bootstrap: {}", files.bootstrap.display()));
    Ok(files)
}

/// As a shell reads it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./@:+".contains(&b);
    match text.bytes().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

fn start_line(binary: Option<&Path>, bootstrap: &Path) -> String {
    let binary = binary.unwrap_or_else(|| Path::new("envoy"));
    format!("{} -c {}", quoted(binary), quoted(bootstrap))
}

fn start(binary: Option<&Path>, bootstrap: &Path) -> Result<Child, Failure> {
    let binary = binary.unwrap_or_else(|| Path::new("envoy"));
    Command::new(binary)
        .arg("-c")
        .arg(bootstrap)
        // Several may run on one host.
        .arg("--use-dynamic-base-id")
        .stdin(Stdio::null())
        // Data of this program is not Envoy's log.
        .stdout(std::io::stderr())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Failure::io(&format!("start {}", binary.display()), &error))
}

/// Comes back when an Envoy that was started here has ended; never, when none was.
async fn ended(child: Option<&mut Child>) -> Failure {
    let Some(child) = child else {
        return std::future::pending().await;
    };
    match child.wait().await {
        Ok(status) => Failure::error(format!("Envoy ended: {status}")),
        Err(error) => Failure::io("wait for Envoy", &error),
    }
}

/// Comes back when somebody ends this program.
async fn interrupted() {
    let Ok(mut term) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
}

/// Asks an Envoy that was started here to end, and makes it.
async fn stop(child: Option<Child>) {
    let Some(mut child) = child else {
        return;
    };
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        let pid = nix::unistd::Pid::from_raw(pid);
        let _gone = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
    }
    if tokio::time::timeout(GOODBYE, child.wait()).await.is_err() {
        let _gone = child.kill().await;
    }
}

/// Stays with the Envoy: whoever ends this program ends it.
async fn stay(mut child: Child) -> Result<(), Failure> {
    say("It is ready, and runs as long as this program. Ctrl-C ends both.");
    tokio::select! {
        status = child.wait() => match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Failure::error(format!("Envoy ended: {status}"))),
            Err(error) => Err(Failure::io("wait for Envoy", &error)),
        },
        () = interrupted() => {
            stop(Some(child)).await;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_can_be_pasted_into_a_shell() {
        assert_eq!(
            start_line(None, Path::new("/a/envoy.yaml")),
            "envoy -c /a/envoy.yaml"
        );
        assert_eq!(
            start_line(Some(Path::new("/opt/my envoy")), Path::new("/it's/e.yaml")),
            "'/opt/my envoy' -c '/it'\\''s/e.yaml'"
        );
    }
}
