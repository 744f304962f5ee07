//! Lists of declarative objects: which of them, in which order, from where on. Everything that a client says is a
//! parameter of the query; of its words none becomes part of the text.
//!
//! No index helps a filter: the operators of jsonb are not known to keep secrets, so row security is judged before them
//! and the rows of one kind in one mesh are looked at one by one.

use chrono::{DateTime, Utc};
use heddle_model::filter::{Expr, Literal, Op, Target};
use heddle_model::name::Name;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

/// What a list is sorted by. Objects that are equal in it are in the order of their identifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The name.
    Name,
    /// When it was created.
    CreatedAt,
    /// When it was last written.
    UpdatedAt,
}

/// Where a page ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// In a list by name.
    Name(Name, Uuid),
    /// In a list by a time.
    Time(DateTime<Utc>, Uuid),
}

/// Which objects of a list are wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What must hold of them.
    pub filter: Option<Expr>,
    /// What they are sorted by.
    pub key: Key,
    /// Whether the greatest comes first.
    pub descending: bool,
    /// The last one that is not wanted again.
    pub after: Option<Position>,
    /// How many at most.
    pub limit: u32,
}

impl Wanted {
    /// The first so many by name.
    #[must_use]
    pub fn by_name(limit: u32) -> Self {
        Self {
            filter: None,
            key: Key::Name,
            descending: false,
            after: None,
            limit,
        }
    }

    /// Where the page begins, if it is one of all objects by name.
    #[must_use]
    pub fn plain(&self) -> Option<Option<(&Name, Uuid)>> {
        match (&self.filter, self.key, self.descending, &self.after) {
            (None, Key::Name, false, None) => Some(None),
            (None, Key::Name, false, Some(Position::Name(name, id))) => Some(Some((name, *id))),
            _ => None,
        }
    }

    /// Adds what follows a `where` to a query over the resources `r`.
    pub(crate) fn push(&self, query: &mut QueryBuilder<'static, Postgres>) {
        if let Some(filter) = &self.filter {
            query.push(" and ");
            push_expr(query, filter);
        }
        let column = match self.key {
            Key::Name => "r.name",
            Key::CreatedAt => "r.created_at",
            Key::UpdatedAt => "r.updated_at",
        };
        let (than, order) = if self.descending {
            ("<", " desc")
        } else {
            (">", "")
        };
        if let Some(after) = &self.after {
            query.push(format_args!(" and ({column}, r.id) {than} ("));
            let id = match after {
                Position::Name(name, id) => {
                    query.push_bind(name.to_string());
                    id
                }
                Position::Time(time, id) => {
                    query.push_bind(*time);
                    id
                }
            };
            query.push(", ").push_bind(*id).push(")");
        }
        query.push(format_args!(
            " order by {column}{order}, r.id{order} limit "
        ));
        query.push_bind(i64::from(self.limit));
    }
}

fn push_expr(query: &mut QueryBuilder<'static, Postgres>, expr: &Expr) {
    match expr {
        Expr::And(parts) => push_joined(query, parts, " and "),
        Expr::Or(parts) => push_joined(query, parts, " or "),
        Expr::Not(inner) => {
            query.push("not ");
            push_expr(query, inner);
        }
        Expr::Compare { field, op, value } => push_comparison(query, field, *op, value),
    }
}

fn push_joined(query: &mut QueryBuilder<'static, Postgres>, parts: &[Expr], with: &str) {
    query.push("(");
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            query.push(with);
        }
        push_expr(query, part);
    }
    query.push(")");
}

/// A comparison is never null: what is absent equals nothing and is neither less nor greater.
fn push_comparison(
    query: &mut QueryBuilder<'static, Postgres>,
    field: &Target,
    op: Op,
    value: &Literal,
) {
    query.push("coalesce((");
    match field {
        Target::Name => {
            query.push("r.name");
        }
        Target::CreatedAt => {
            query.push("r.created_at");
        }
        Target::UpdatedAt => {
            query.push("r.updated_at");
        }
        Target::Revision => {
            query.push("r.from_revision");
        }
        Target::Label(key) => {
            query.push("r.spec -> 'labels' ->> ").push_bind(key.clone());
        }
        Target::Sent(name) => match value {
            Literal::Number(_) => {
                query
                    .push("case when jsonb_typeof(r.spec -> ")
                    .push_bind(name.clone())
                    .push(") = 'number' then (r.spec ->> ")
                    .push_bind(name.clone())
                    .push(")::numeric end");
            }
            Literal::Boolean(_) => {
                query
                    .push("case when jsonb_typeof(r.spec -> ")
                    .push_bind(name.clone())
                    .push(") = 'boolean' then (r.spec ->> ")
                    .push_bind(name.clone())
                    .push(")::boolean end");
            }
            Literal::Text(_) | Literal::Time(_) => {
                query.push("r.spec ->> ").push_bind(name.clone());
            }
        },
    }
    query.push(match op {
        Op::Equal => ") = ",
        Op::NotEqual => ") <> ",
        Op::Less => ") < ",
        Op::LessOrEqual => ") <= ",
        Op::Greater => ") > ",
        Op::GreaterOrEqual => ") >= ",
    });
    match value {
        Literal::Text(text) => query.push_bind(text.clone()),
        Literal::Number(number) => query.push_bind(*number),
        Literal::Boolean(boolean) => query.push_bind(*boolean),
        Literal::Time(time) => query.push_bind(*time),
    };
    query.push(if op == Op::NotEqual {
        ", true)"
    } else {
        ", false)"
    });
}
