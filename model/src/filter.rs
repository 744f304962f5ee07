//! `filter=`: which objects of a list are wanted. A subset of AIP-160: comparisons joined by `AND`, `OR` and `NOT`, with
//! parentheses where `AND` and `OR` meet. Pure: what an expression means for rows of a table is the store's to say.

mod fields;
mod parse;

use chrono::{DateTime, Utc};

pub use fields::{Field, FieldType, Fields};
pub use parse::{Unreadable, parse};

/// The longest text that is read, in bytes.
pub const LONGEST: usize = 2000;

/// What must hold of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// All of these.
    And(Vec<Expr>),
    /// Any of these.
    Or(Vec<Expr>),
    /// Not this.
    Not(Box<Expr>),
    /// A field compares to a value.
    Compare {
        /// What is compared.
        field: Target,
        /// How.
        op: Op,
        /// With what; of the field's type.
        value: Literal,
    },
}

/// What a comparison looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The object's name.
    Name,
    /// When it was created.
    CreatedAt,
    /// When it was last written.
    UpdatedAt,
    /// The revision of the mesh that wrote it last.
    Revision,
    /// One of its labels, by key.
    Label(String),
    /// A field that the user sent, directly in the object.
    Sent(String),
}

/// How a field and a value compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// `=`; a field that is absent equals nothing.
    Equal,
    /// `!=`; holds for a field that is absent.
    NotEqual,
    /// `<`; numbers and times only.
    Less,
    /// `<=`; numbers and times only.
    LessOrEqual,
    /// `>`; numbers and times only.
    Greater,
    /// `>=`; numbers and times only.
    GreaterOrEqual,
}

/// A value of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    /// For text.
    Text(String),
    /// For numbers.
    Number(i64),
    /// For `true` and `false`.
    Boolean(bool),
    /// For times.
    Time(DateTime<Utc>),
}

#[cfg(test)]
mod tests;
