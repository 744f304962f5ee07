//! The first hour: the page is typed into a real terminal, with real Envoys and calls, and its questions are answered there.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use heddle_tests::{Api, EnvoyVersion, ServerOptions, Stack, Yard, heddle, repository};
use rexpect::session::{Options, PtySession, spawn_with_options};
use serde_json::json;

use super::signed_in_as;
use crate::docs;

/// How long a block may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A shell in a terminal, as a person sits in front of it.
struct Terminal {
    session: PtySession,
    folder: PathBuf,
    blocks: usize,
}

impl Terminal {
    fn open(folder: &Path, server: &str) -> Self {
        let program = heddle();
        let path = std::env::var_os("PATH").unwrap();
        let path = format!(
            "{}:{}:{}",
            folder.join("bin").display(),
            program.parent().unwrap().display(),
            path.to_string_lossy()
        );
        let mut command = std::process::Command::new("bash");
        command
            .args(["--norc", "--noprofile"])
            .current_dir(folder)
            .env("PATH", path)
            .env("PS1", "")
            .env("TERM", "xterm")
            .env("HEDDLE", server)
            .env("HEDDLE_CONFIG_DIR", folder.join("config"));
        for name in ["SERVER", "ORG", "MESH", "TOKEN_FILE", "TOKEN", "CONTEXT"] {
            command.env_remove(format!("HEDDLE_{name}"));
        }
        command.env_remove("NO_COLOR");
        let patience = PATIENCE.as_millis().try_into().ok();
        let options = Options::new().timeout_ms(patience);
        let session = spawn_with_options(command, options).unwrap();
        Self {
            session,
            folder: folder.to_owned(),
            blocks: 0,
        }
    }

    /// Runs a block as if it was typed, and does what it takes; how it ended, and everything that was on the screen.
    fn run(&mut self, block: &str, person: &mut dyn FnMut(&mut Person<'_>)) -> (u8, String) {
        self.blocks += 1;
        let n = self.blocks;
        // The blocks share one shell, and are not echoed line by line.
        let file = self.folder.join(format!("block-{n}.sh"));
        std::fs::write(&file, block).unwrap();
        let line = format!(". ./block-{n}.sh; printf '@@%s:%s@@' {n} $?");
        self.session.send_line(&line).unwrap();
        let mut screen = String::new();
        person(&mut Person {
            session: &mut self.session,
            screen: &mut screen,
        });
        let end = self.session.exp_regex(&format!("@@{n}:[0-9]+@@"));
        let logs = || logs(&self.folder);
        let (rest, end) = end.unwrap_or_else(|error| panic!("{block}\n{error}\n{}", logs()));
        screen.push_str(&rest);
        let code = end.trim_end_matches('@').rsplit(':').next().unwrap();
        (code.parse().unwrap(), screen)
    }
}

/// What ran in the background has said.
fn logs(folder: &Path) -> String {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let logs = files.filter(|file| file.path().extension().is_some_and(|end| end == "log"));
    logs.map(|file| std::fs::read_to_string(file.path()).unwrap_or_default())
        .collect()
}

/// Who reads what a running command says, and types.
struct Person<'a> {
    session: &'a mut PtySession,
    screen: &'a mut String,
}

impl Person<'_> {
    /// Waits for a text; what it was.
    fn sees(&mut self, regex: &str) -> String {
        let seen = self.session.exp_regex(regex);
        let (before, found) = seen.unwrap_or_else(|error| panic!("{regex}: {error}"));
        self.screen.push_str(&before);
        self.screen.push_str(&found);
        found
    }

    /// Types a line. This terminal does not echo what is typed, so it is put on the screen here.
    fn types(&mut self, line: &str) {
        self.screen.push_str(line);
        self.screen.push('\n');
        self.session.send_line(line).unwrap();
    }
}

/// The screen as it reads: without colours, and each state of a line that is written over on a line of its own.
fn readable(screen: &str) -> Vec<String> {
    let mut text = screen.replace("\r\u{1b}[K", "\n");
    while let Some(start) = text.find("\u{1b}[") {
        let end = text[start..].find(|c: char| c.is_ascii_alphabetic());
        let end = end.map_or(text.len(), |end| start + end + 1);
        text.replace_range(start..end, "");
    }
    text.lines().map(docs::words).collect()
}

/// What the page says may be taken on this machine.
fn placed(page: &str) -> String {
    let ports = [
        "15101", "15102", "15103", "15201", "15202", "15203", "15301", "15001", "15303",
    ];
    docs::placed(page, &ports, &["127.0.0.11", "127.0.0.12"])
}

fn walk(page: &str, folder: &Path, server: &str, code: &dyn Fn(&str)) -> Vec<String> {
    let mut terminal = Terminal::open(folder, server);
    let mut screens = Vec::new();
    for step in docs::steps(page) {
        let shown = step.shown.map(|(_, shown)| shown).unwrap_or_default();
        let mut person = |person: &mut Person<'_>| {
            if step.command.contains("heddle login") {
                let address = person.sees("/console/device[?]code=[A-Z0-9-]+");
                code(address.rsplit_once('=').unwrap().1);
            }
            for answer in shown.lines().filter_map(|line| line.split_once("[y/N] ")) {
                let _ = person.sees("\\[y/N\\] ");
                person.types(answer.1);
            }
        };
        let started = Instant::now();
        loop {
            let (code, screen) = terminal.run(&step.command, &mut person);
            assert_eq!(code, 0, "{}\n{screen}", step.command);
            let missing = docs::missing(&shown, &readable(&screen));
            // An Envoy that has acknowledged something does it a moment later; a call may be made again.
            let again = step.command.starts_with("curl ") && started.elapsed() < PATIENCE / 4;
            match missing {
                Some(_) if again => {}
                Some(line) => panic!("{}\nshows no `{line}`:\n{screen}", step.command),
                None => {
                    screens.push(screen);
                    break;
                }
            }
        }
    }
    screens
}

fn approve(runtime: &tokio::runtime::Handle, ada: &Api, code: &str) {
    let path = format!("/device-authorizations/{code}/approvals");
    let _ = runtime.block_on(ada.post(&path, json!({}))).expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_hour_is_walked_in_a_terminal() {
    let stack = Stack::start(ServerOptions::default()).await;
    let ada = signed_in_as(&stack, "owner").await;
    let yard = Yard::new();
    let folder = yard.path().to_owned();
    std::fs::create_dir(folder.join("bin")).unwrap();
    symlink(EnvoyVersion::Newest.binary(), folder.join("bin/envoy")).unwrap();
    let page = std::fs::read_to_string(repository().join("docs/first-hour.md")).unwrap();
    let page = placed(&page);
    let server = stack.server.url();
    let runtime = tokio::runtime::Handle::current();
    let walking = tokio::task::spawn_blocking(move || {
        walk(&page, &folder, &server, &|code| {
            approve(&runtime, &ada, code);
        })
    });
    let screens = walking.await.unwrap();
    // In colours, since it is a terminal.
    let coloured = |text: &str| screens.iter().any(|screen| screen.contains(text));
    assert!(coloured("\u{1b}[31m- access rule payments/not-checkout"));
    assert!(coloured("\u{1b}[32m  + - weight: 50"));
}

/// What scripts do not see: a question that gets a no, a mesh that moves on meanwhile, colours that nobody wants, ctrl-C.
fn refuse(folder: &Path, server: &str, write: &dyn Fn()) {
    let mut terminal = Terminal::open(folder, server);
    let _ = terminal.run(". ./place.sh", &mut |_| {});
    let back = "heddle revisions rollback 2";
    let (code, screen) = terminal.run(back, &mut |person| {
        let _ = person.sees("Bring mesh shop back to revision 2[?] \\[y/N\\] ");
        person.types("");
    });
    assert!(
        code == 1 && screen.contains("error: nothing was changed"),
        "{code} {screen}"
    );
    let (code, screen) = terminal.run(back, &mut |person| {
        let _ = person.sees("\\[y/N\\] ");
        write();
        person.types("y");
    });
    assert!(code == 5 && screen.contains("HED-2012"), "{code} {screen}");
    let (code, screen) = terminal.run("NO_COLOR=1 heddle revisions diff", &mut |_| {});
    assert!(code == 0 && !screen.contains("\u{1b}[3"), "{screen:?}");
    let (code, screen) = terminal.run("heddle revisions diff", &mut |_| {});
    assert!(code == 0 && screen.contains("\u{1b}[3"), "{screen:?}");
    let follow = "heddle events -f --topic revision --after 0-0-0";
    let (code, screen) = terminal.run(follow, &mut |person| {
        let _ = person.sees("revision +1 by ");
        person.session.send_control('c').unwrap();
    });
    assert_eq!(code, 0, "{screen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_may_say_no() {
    let stack = Stack::start(ServerOptions::default()).await;
    let open = json!({"access_default": "allow"});
    let api = stack.mesh("acme", "shop", open, &["payments"]).await;
    let label = |n: u64| json!({"access_default": "allow", "labels": {"n": n.to_string()}});
    let _ = api.put("/meshes/shop", label(0)).await.expect(200);
    let yard = Yard::new();
    let folder = yard.path().to_owned();
    let server = stack.server.url();
    let runtime = tokio::runtime::Handle::current();
    let place = format!(
        "export HEDDLE_SERVER={server} HEDDLE_MESH=shop HEDDLE_TOKEN={}",
        api.token
    );
    std::fs::write(folder.join("place.sh"), place).unwrap();
    let n = std::sync::atomic::AtomicU64::new(1);
    let write = move || {
        let n = n.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let _ = runtime
            .block_on(api.put("/meshes/shop", label(n)))
            .expect(200);
    };
    tokio::task::spawn_blocking(move || refuse(&folder, &server, &write))
        .await
        .unwrap();
}
