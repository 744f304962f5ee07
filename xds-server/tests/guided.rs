//! Ten minutes of coverage-guided fuzzing of HTTP/2 and of both request decoders, with what stands behind them, with libFuzzer.
//!
//! The programs are in `fuzz/`. They are built here, because they need coverage compiled into every crate, which stable Rust
//! can do: only the sanitizers need another compiler, and there is no `unsafe` code of ours for them to look into.
//! `HEDDLE_FUZZ_SECONDS` shortens it; `HEDDLE_ACCEPT_CORPUS=1` keeps what it found to reach the most code.

#![expect(clippy::unwrap_used, reason = "test code")]
#![expect(
    clippy::disallowed_methods,
    reason = "the test's own switches come from the environment"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const PROGRAMS: [&str; 3] = ["delta", "sotw", "http2"];
/// What libFuzzer needs of a compiled program: a counter for each edge, where it is, and the operands of comparisons.
const COVERAGE: [&str; 7] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cforce-frame-pointers=yes",
];

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn work() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fuzz")
}

/// Builds the programs and says where they are.
fn build() -> PathBuf {
    let version = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|l| l.strip_prefix("host: "));
    let host = host.unwrap();
    // With a target, so that build scripts and macros, which run here and now, are compiled without coverage.
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--target", host])
        .arg("--manifest-path")
        .arg(fuzz().join("Cargo.toml"))
        .arg("--target-dir")
        .arg(work())
        .env("CARGO_ENCODED_RUSTFLAGS", COVERAGE.join("\u{1f}"))
        .status()
        .unwrap();
    assert!(status.success());
    work().join(host).join("release")
}

/// The folder with the inputs to begin with, made of the corpus that is checked in.
fn unpack(program: &str) -> PathBuf {
    let folder = work().join("corpus").join(program);
    let _absent = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let corpus = std::fs::read_to_string(fuzz().join("corpus").join(format!("{program}.hex")));
    for (line, text) in corpus.unwrap().lines().enumerate() {
        let bytes = text.as_bytes().chunks(2).map(|pair| {
            let digits = std::str::from_utf8(pair).unwrap();
            u8::from_str_radix(digits, 16).unwrap()
        });
        let bytes: Vec<u8> = bytes.collect();
        std::fs::write(folder.join(line.to_string()), bytes).unwrap();
    }
    folder
}

/// Keeps few and short inputs that reach nearly as much as all of `found` do.
fn accept(program: &str, binary: &Path, found: &Path) {
    let fewest = work().join("fewest").join(program);
    let _absent = std::fs::remove_dir_all(&fewest);
    std::fs::create_dir_all(&fewest).unwrap();
    let status = Command::new(binary)
        .args(["-set_cover_merge=1", "-max_len=256"])
        .args([&fewest, found])
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let mut lines: Vec<String> = std::fs::read_dir(&fewest)
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .filter(|bytes| !bytes.is_empty())
        .map(|bytes| {
            bytes.iter().fold(String::new(), |mut line, byte| {
                write!(line, "{byte:02x}").unwrap();
                line
            })
        })
        .collect();
    lines.sort();
    let kept = fuzz().join("corpus").join(format!("{program}.hex"));
    std::fs::write(kept, lines.join("\n") + "\n").unwrap();
}

/// What a run says of itself.
struct Figures {
    inputs: u64,
    edges: u64,
}

/// The last figures in what libFuzzer wrote.
fn figures(log: &str) -> Figures {
    let number = |text: &str| text.trim().parse::<u64>().unwrap();
    let inputs = log
        .lines()
        .find_map(|l| l.strip_prefix("stat::number_of_executed_units:"));
    let edges = log.lines().rev().find_map(|line| {
        let (_, rest) = line.split_once("cov: ")?;
        rest.split_whitespace().next()
    });
    Figures {
        inputs: number(inputs.expect("figures at the end of the log")),
        edges: number(edges.expect("coverage in the log")),
    }
}

/// The programs are no part of the workspace, so nothing else tells when their lock file lags behind it.
#[test]
fn the_programs_lock_file_is_current() {
    let status = Command::new(env!("CARGO"))
        .args(["update", "--workspace", "--locked", "--quiet"])
        .arg("--manifest-path")
        .arg(fuzz().join("Cargo.toml"))
        .status()
        .unwrap();
    assert!(
        status.success(),
        "run `cargo update --workspace --manifest-path xds-server/fuzz/Cargo.toml`"
    );
}

#[test]
#[ignore = "ten minutes; `make test-long`"]
fn xds_x43_p11_ten_minutes_of_guided_requests_do_no_harm() {
    let seconds = std::env::var("HEDDLE_FUZZ_SECONDS");
    let seconds: u64 = seconds.map_or(600, |text| text.parse().unwrap());
    let seed = u64::from(u32::try_from(heddle_evidence::seed() >> 33).unwrap()) | 1;
    let binaries = build();
    let running: Vec<(&str, PathBuf, Child)> = PROGRAMS
        .into_iter()
        .map(|program| {
            let corpus = unpack(program);
            let log = std::fs::File::create(work().join(format!("{program}.log"))).unwrap();
            let child = Command::new(binaries.join(program))
                .arg(format!("-max_total_time={seconds}"))
                .arg(format!("-seed={seed}"))
                .arg(format!("-artifact_prefix={}/{program}-", work().display()))
                // A message that takes longer than this, in seconds, or more memory, in MiB, is harm.
                .args(["-timeout=2", "-rss_limit_mb=512", "-malloc_limit_mb=64"])
                .args(["-max_len=1024", "-print_final_stats=1"])
                .arg(&corpus)
                .stderr(log)
                .spawn()
                .unwrap();
            (program, corpus, child)
        })
        .collect();
    let mut measured = serde_json::Map::new();
    measured.insert("seconds".to_owned(), seconds.into());
    let ended: Vec<_> = running
        .into_iter()
        .map(|(program, corpus, mut child)| (program, corpus, child.wait().unwrap()))
        .collect();
    for (program, corpus, status) in ended {
        let log = std::fs::read_to_string(work().join(format!("{program}.log"))).unwrap();
        assert!(status.success(), "{program}, seed {seed}:\n{log}");
        let Figures { inputs, edges } = figures(&log);
        assert!(inputs > 1_000 * seconds, "{program} read {inputs} inputs");
        measured.insert(format!("{program}_inputs"), inputs.into());
        measured.insert(format!("{program}_edges"), edges.into());
        if std::env::var_os("HEDDLE_ACCEPT_CORPUS").is_some() {
            accept(program, &binaries.join(program), &corpus);
        }
    }
    heddle_evidence::evidence("guided-fuzzing", seed, measured.into());
}
