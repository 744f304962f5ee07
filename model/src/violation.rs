//! Everything that is wrong with a value, at once: each with a JSON pointer (RFC 6901) and a stable code.

use serde::Serialize;

use crate::code::Code;

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Violation {
    /// Where: a JSON pointer into the body as it was sent; empty for the body itself.
    pub pointer: String,
    /// Which rule.
    pub code: Code,
    /// What is wrong, in the terms of the value.
    pub detail: String,
    /// What would be right, when that can be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// All broken rules of one value; empty means that it is valid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn add(&mut self, at: &Pointer<'_>, code: Code, detail: impl Into<String>) {
        self.push(Violation {
            pointer: at.to_string(),
            code,
            detail: detail.into(),
            hint: None,
        });
    }

    /// Adds one with a hint.
    pub fn add_with_hint(
        &mut self,
        at: &Pointer<'_>,
        code: Code,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.push(Violation {
            pointer: at.to_string(),
            code,
            detail: detail.into(),
            hint: Some(hint.into()),
        });
    }

    /// Adds a finished one.
    pub fn push(&mut self, violation: Violation) {
        self.0.push(violation);
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the order of their pointers, without repeats.
    #[must_use]
    pub fn into_sorted(mut self) -> Vec<Violation> {
        self.0.sort();
        self.0.dedup();
        self.0
    }

    /// `Ok` when nothing is wrong.
    ///
    /// # Errors
    /// Itself, when something is.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }

    /// Takes over those of another value.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Each, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.0.iter()
    }

    /// The first one that was found.
    #[must_use]
    pub fn first(&self) -> Option<&Violation> {
        self.0.first()
    }
}

/// A JSON pointer that grows by borrowing: building one costs nothing until a rule is broken.
#[derive(Debug, Clone, Copy)]
pub enum Pointer<'a> {
    /// The whole value.
    Root,
    /// A member of an object.
    Field(&'a Pointer<'a>, &'a str),
    /// An element of an array.
    Index(&'a Pointer<'a>, usize),
}

impl<'a> Pointer<'a> {
    /// The member `name` of what this points to.
    #[must_use]
    pub const fn field(&'a self, name: &'a str) -> Self {
        Self::Field(self, name)
    }

    /// The element `index` of what this points to.
    #[must_use]
    pub const fn index(&'a self, index: usize) -> Self {
        Self::Index(self, index)
    }
}

impl std::fmt::Display for Pointer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(parent, name) => {
                write!(f, "{parent}/{}", name.replace('~', "~0").replace('/', "~1"))
            }
            Self::Index(parent, index) => write!(f, "{parent}/{index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_escape_as_rfc_6901_says() {
        let root = Pointer::Root;
        let labels = root.field("labels");
        assert_eq!(root.to_string(), "");
        assert_eq!(labels.field("a/b~c").to_string(), "/labels/a~1b~0c");
        assert_eq!(labels.index(3).to_string(), "/labels/3");
    }
}
