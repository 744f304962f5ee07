//! Puts the built console, if there is one, into the binary: `web/dist`, each file with its address and the hash
//! of its content. Without a built console the binary builds just as well, and says so to who asks for it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() -> std::io::Result<()> {
    // Asked for when this runs: a build folder may have been copied from another checkout.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .ok_or_else(|| std::io::Error::other("no CARGO_MANIFEST_DIR"))?;
    let dist = Path::new(&manifest).join("../web/dist");
    // The folder itself is always there, so that a console that is built later is noticed.
    println!("cargo::rerun-if-changed={}", dist.display());
    println!("cargo::rerun-if-changed=build.rs");
    let mut files = Vec::new();
    collect(&dist, &mut files)?;
    files.sort();
    let mut table = String::from("&[\n");
    for file in &files {
        let address = file.strip_prefix(&dist).map_err(std::io::Error::other)?;
        let hash = blake3::hash(&std::fs::read(file)?).to_hex();
        let etag = format!("\"{}\"", &hash.as_str()[..32]);
        writeln!(
            table,
            "    Asset {{ path: {address:?}, etag: {etag:?}, content: include_bytes!({:?}) }},",
            file.canonicalize()?
        )
        .map_err(std::io::Error::other)?;
    }
    table.push(']');
    let out = std::env::var_os("OUT_DIR").ok_or_else(|| std::io::Error::other("no OUT_DIR"))?;
    std::fs::write(PathBuf::from(out).join("console.rs"), table)
}

/// Every file below a folder; those whose names start with a dot belong to the repository.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}
