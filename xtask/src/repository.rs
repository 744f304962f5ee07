//! The repository: where it is and which files belong to it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;

/// Folders that hold nothing of ours; only looked at when git is not there to say so.
const FOREIGN: [&str; 5] = [".git", ".heddle", ".tools", "node_modules", "target"];

/// A working copy.
#[derive(Debug)]
pub(crate) struct Repository {
    root: PathBuf,
    files: BTreeSet<String>,
}

impl Repository {
    /// The one that this program was built from.
    ///
    /// # Errors
    /// Its files cannot be listed.
    pub(crate) fn here() -> anyhow::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("the manifest of a workspace member lies in a folder of the workspace");
        Self::at(root)
    }

    /// The one whose root is this folder.
    ///
    /// # Errors
    /// Its files cannot be listed.
    pub(crate) fn at(root: &Path) -> anyhow::Result<Self> {
        let mut files = BTreeSet::new();
        match tracked(root) {
            Some(listed) => files = listed,
            None => walk(root, root, &mut files)?,
        }
        // Git also lists what was deleted and not yet committed.
        files.retain(|file| root.join(file).is_file());
        Ok(Self {
            root: root.to_owned(),
            files,
        })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether a file or folder of this path belongs to the repository.
    pub(crate) fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        path.is_empty()
            || self.files.contains(path)
            || self.files.iter().any(|file| {
                file.strip_prefix(path)
                    .is_some_and(|rest| rest.starts_with('/'))
            })
    }

    /// All files whose names end like this, with `/` between folders, in order.
    pub(crate) fn files<'a>(&'a self, ending: &'a str) -> impl Iterator<Item = &'a str> {
        let files = self.files.iter().map(String::as_str);
        files.filter(move |file| file.ends_with(ending))
    }

    /// The content of a file; `None` if it is not text.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn text(&self, file: &str) -> anyhow::Result<Option<String>> {
        Ok(String::from_utf8(self.bytes(file)?).ok())
    }

    /// The content of a file.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn bytes(&self, file: &str) -> anyhow::Result<Vec<u8>> {
        std::fs::read(self.root.join(file)).with_context(|| format!("read {file}"))
    }

    /// A file as the last commit has it; `None` if it has none of that name or there is no git.
    pub(crate) fn committed(&self, file: &str) -> Option<String> {
        git(&self.root, &["show", &format!("HEAD:{file}")])
    }

    /// Writes a file; says whether that changed it.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write(&self, file: &str, text: &str) -> anyhow::Result<bool> {
        let path = self.root.join(file);
        if std::fs::read(&path).is_ok_and(|old| old == text.as_bytes()) {
            return Ok(false);
        }
        std::fs::write(&path, text).with_context(|| format!("write {file}"))?;
        Ok(true)
    }
}

/// What is committed or could be: new files count, ignored ones do not.
fn tracked(root: &Path) -> Option<BTreeSet<String>> {
    // Inside of another repository git would list that one's files.
    if !root.join(".git").exists() {
        return None;
    }
    let arguments = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let listed = git(root, &arguments)?;
    let files = listed.split('\0').filter(|file| !file.is_empty());
    Some(files.map(str::to_owned).collect())
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .current_dir(root)
        .args(arguments)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then_some(())?;
    String::from_utf8(output.stdout).ok()
}

fn walk(root: &Path, folder: &Path, files: &mut BTreeSet<String>) -> anyhow::Result<()> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if !FOREIGN.iter().any(|name| entry.file_name() == *name) {
                walk(root, &path, files)?;
            }
        } else if let Some(file) = path.strip_prefix(root).ok().and_then(Path::to_str) {
            files.insert(file.to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod testing {
    use super::Repository;

    /// A repository in a temporary folder.
    pub(crate) struct Scratch {
        folder: tempfile::TempDir,
    }

    impl Scratch {
        pub(crate) fn new(files: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let this = Self { folder };
            for (file, text) in files {
                this.put(file, text);
            }
            this
        }

        pub(crate) fn put(&self, file: &str, text: &str) {
            let path = self.folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        pub(crate) fn delete(&self, file: &str) {
            std::fs::remove_file(self.folder.path().join(file)).unwrap();
        }

        pub(crate) fn git(&self, arguments: &[&str]) {
            let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"];
            let status = std::process::Command::new("git")
                .current_dir(self.folder.path())
                .args(identity)
                .args(arguments)
                .status()
                .unwrap();
            assert!(status.success(), "git {arguments:?}");
        }

        /// As it is now.
        pub(crate) fn read(&self) -> Repository {
            Repository::at(self.folder.path()).unwrap()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Scratch;

    #[test]
    fn what_git_ignores_does_not_belong_to_it() {
        let scratch = Scratch::new(&[(".gitignore", "/out\n"), ("a/b.rs", ""), ("out/c.rs", "")]);
        let files = |scratch: &Scratch| {
            let repository = scratch.read();
            repository
                .files(".rs")
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            files(&scratch),
            ["a/b.rs", "out/c.rs"],
            "without git there is nobody to ask"
        );
        scratch.git(&["init", "-q"]);
        assert_eq!(files(&scratch), ["a/b.rs"]);
        scratch.git(&["add", "."]);
        scratch.delete("a/b.rs");
        assert!(files(&scratch).is_empty());
    }

    #[test]
    fn folders_are_there_by_their_files() {
        let repository = Scratch::new(&[("a/b/c.rs", "")]).read();
        for (path, there) in [
            ("a", true),
            ("a/", true),
            ("a/b/c.rs", true),
            ("a/b/c", false),
            ("b", false),
        ] {
            assert_eq!(repository.has(path), there, "{path}");
        }
    }
}
