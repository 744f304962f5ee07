//! Mails that were handed on, as files of a folder.

use std::path::Path;

/// A mail, as far as tests look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The first part of its `Message-ID`.
    pub id: String,
    /// Whom it is for.
    pub to: String,
    /// What it is about.
    pub subject: String,
    /// What it says.
    pub text: String,
    /// All of it.
    pub whole: String,
}

impl Mail {
    /// Those of a folder, oldest first.
    ///
    /// # Panics
    /// One of them is no mail.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Vec<Self> {
        let Ok(files) = std::fs::read_dir(folder) else {
            return Vec::new();
        };
        let files = files.filter_map(|file| Some(file.ok()?.path()));
        let mut files: Vec<_> = files
            .filter(|file| file.extension().is_some_and(|end| end == "eml"))
            .collect();
        // Both names of identifiers and running numbers are in the order of time.
        files.sort();
        let read = |file| Self::parse(&std::fs::read_to_string(file).expect("a mail is text"));
        files.iter().map(read).collect()
    }

    fn parse(whole: &str) -> Self {
        let whole = whole.replace("\r\n", "\n");
        let (head, text) = whole.split_once("\n\n").expect("a mail has a head");
        let header = |name: &str| {
            let mut lines = head.lines();
            let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.unwrap_or_default().to_owned()
        };
        let id = header("Message-ID");
        Self {
            id: id
                .trim_matches(['<', '>'])
                .split('@')
                .next()
                .unwrap_or_default()
                .to_owned(),
            to: header("To"),
            subject: header("Subject"),
            text: text.to_owned(),
            whole,
        }
    }

    /// The link in it.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn link(&self) -> &str {
        let mut lines = self.text.lines();
        lines
            .find(|line| line.starts_with("http"))
            .unwrap_or_else(|| panic!("no link: {}", self.text))
    }

    /// The secret of the link.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn secret(&self) -> &str {
        self.link().split_once('#').expect("a link has a secret").1
    }
}
