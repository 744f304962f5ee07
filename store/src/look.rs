//! Who asks, and what they ask for, found in one question to the database: the way in for requests whose address says what they
//! need. What was found stays shut until somebody comes with a grant.

use heddle_model::authz::{Permission, access};
use heddle_model::id::OrgId;
use heddle_model::kind::Kind;
use heddle_model::name::Name;
use sqlx::postgres::PgRow;
use sqlx::{Executor as _, FromRow as _};
use uuid::Uuid;

use crate::authz::{Caller, Grant, Holder, Presented};
use crate::error::{Error, Result, is_broken};
use crate::lease::Lease;
use crate::meshes::{MeshRow, mesh_row};
use crate::resources::{Named, Row, Stored, named};
use crate::store::Store;
use crate::tx::Tx;

/// What an address means, as it is written there.
#[derive(Debug, Clone)]
pub struct Sought<'a> {
    /// The mesh: its name or its identifier.
    pub mesh: &'a str,
    /// What the object or the page is below, outermost first: names or identifiers.
    pub above: Vec<(Kind, &'a str)>,
    /// The object.
    pub object: Option<(Kind, &'a str)>,
    /// The page.
    pub page: Option<Page<'a>>,
}

/// Objects in the order of their names.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// Their kind.
    pub kind: Kind,
    /// The last one that is not wanted again.
    pub after: Option<(&'a Name, Uuid)>,
    /// How many at most.
    pub limit: u32,
}

/// What was found for a caller.
#[derive(Debug)]
pub struct Seen {
    /// The mesh.
    pub mesh: MeshRow,
    /// What is above the object or the page: all of it.
    pub above: Vec<Stored>,
    /// The object, if it is there.
    pub object: Option<Stored>,
    /// The page.
    pub page: Vec<Stored>,
}

/// What was found before anybody asked whether the caller may see it.
pub struct Looked {
    org: OrgId,
    mesh: Option<MeshRow>,
    path: Vec<Stored>,
    page: Vec<Stored>,
    /// How many of the path are above the object.
    above: usize,
}

impl std::fmt::Debug for Looked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Looked")
            .field("org", &self.org)
            .finish_non_exhaustive()
    }
}

impl Looked {
    /// Opens it.
    ///
    /// # Errors
    /// [`Error::NotFound`] without the mesh or something that should be above, when the caller may not know of the mesh, and for the
    /// grant of another organisation; [`Error::Forbidden`].
    pub fn seen<P: Permission>(mut self, grant: &Grant<P>) -> Result<Seen> {
        if self.org != grant.org() {
            return Err(Error::NotFound);
        }
        let mesh = self.mesh.ok_or(Error::NotFound)?;
        grant.standing().enter(mesh.id)?;
        if self.path.len() < self.above {
            return Err(Error::NotFound);
        }
        let object = self.path.drain(self.above..).next();
        Ok(Seen {
            mesh,
            above: self.path,
            object,
            page: self.page,
        })
    }
}

/// A transaction that has begun in the organisation of a caller, with what was found in it. Nothing of it is locked.
pub struct Entered {
    lease: Lease,
    looked: Looked,
}

impl std::fmt::Debug for Entered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entered")
            .field("looked", &self.looked)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Who presents a credential, and what they look for. Everything is as of one instant.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn look(
        &self,
        bearer: &str,
        sought: &Sought<'_>,
    ) -> Result<Option<(Caller, Looked)>> {
        let Some(presented) = self.presented(bearer).await? else {
            return Ok(None);
        };
        let question = Question::of(sought);
        let mut left = self.tries();
        let rows = loop {
            let mut lease = Lease::take(self.pool()).await?;
            match question.ask(&mut lease, &presented).await {
                // It died since it was last used, and to ask changes nothing.
                Err(error) if left > 0 && is_broken(&error) => left -= 1,
                Err(error) => return Err(error.into()),
                // The statement was a transaction of its own.
                Ok(rows) => {
                    lease.finish();
                    break rows;
                }
            }
        };
        self.judged(&rows, presented, &question)
    }

    /// The same as the beginning of a transaction that goes on to write. What was seen may have changed when it does.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn enter(
        &self,
        bearer: &str,
        sought: &Sought<'_>,
    ) -> Result<Option<(Caller, Entered)>> {
        let Some(presented) = self.presented(bearer).await? else {
            return Ok(None);
        };
        let question = Question::of(sought);
        let sql = format!("begin read write; {}", question.text(&presented));
        let mut left = self.tries();
        let (lease, rows) = loop {
            let mut lease = Lease::take(self.pool()).await?;
            match lease.fetch_all(sql.as_str()).await {
                // It died since it was last used, and nothing has been done.
                Err(error) if left > 0 && is_broken(&error) => left -= 1,
                rows => break (lease, rows?),
            }
        };
        let read = self.judged(&rows, presented, &question)?;
        Ok(read.map(|(caller, looked)| (caller, Entered { lease, looked })))
    }

    /// The transaction that was entered, and what was seen in it.
    ///
    /// # Errors
    /// Those of [`Looked::seen`].
    pub fn go_in<P: Permission<Access = access::Write>>(
        &self,
        entered: Entered,
        grant: &Grant<P>,
    ) -> Result<(Tx<P>, Seen)> {
        let Entered { lease, looked } = entered;
        let seen = looked.seen(grant)?;
        Ok((self.entered(lease, grant), seen))
    }

    fn judged(
        &self,
        rows: &[PgRow],
        presented: Presented,
        question: &Question<'_>,
    ) -> Result<Option<(Caller, Looked)>> {
        let mut rows = rows.iter();
        let holder = rows.next().map(Holder::from_row).transpose()?;
        let Some(caller) = self.judge(holder, presented)? else {
            return Ok(None);
        };
        let mesh = rows.next().map(mesh_row).transpose()?;
        let stored = |row: &PgRow| Stored::try_from(Row::from_row(row)?);
        let path: Vec<Stored> = rows
            .by_ref()
            .take(question.kinds.len())
            .map(stored)
            .collect::<Result<_>>()?;
        let looked = Looked {
            org: caller.org(),
            mesh,
            path,
            page: rows.map(stored).collect::<Result<_>>()?,
            above: question.above,
        };
        Ok(Some((caller, looked)))
    }
}

/// What is sought, in the form that the function takes. Whatever cannot be a name of ours is asked for as the empty one, which nothing
/// has; so that every text in here is harmless in a statement.
struct Question<'a> {
    mesh: (Option<Uuid>, Option<&'a str>),
    above: usize,
    kinds: Vec<&'static str>,
    ids: Vec<Option<Uuid>>,
    names: Vec<Option<&'a str>>,
    page: Option<Page<'a>>,
}

impl<'a> Question<'a> {
    fn of(sought: &Sought<'a>) -> Self {
        let path = sought.above.iter().chain(&sought.object);
        let kinds = path.clone().map(|(kind, _)| kind.as_str()).collect();
        let (ids, names) = path.map(|(kind, text)| one(*kind, text)).unzip();
        Self {
            mesh: one(Kind::Mesh, sought.mesh),
            above: sought.above.len(),
            kinds,
            ids,
            names,
            page: sought.page,
        }
    }

    async fn ask(
        &self,
        lease: &mut Lease,
        presented: &Presented,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let after = self.page.and_then(|page| page.after);
        sqlx::query("select * from heddle.look($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")
            .bind(presented.door.name())
            .bind(&presented.credential)
            .bind(self.mesh.0)
            .bind(self.mesh.1)
            .bind(&self.kinds)
            .bind(&self.ids)
            .bind(&self.names)
            .bind(self.page.map(|page| page.kind.as_str()))
            .bind(after.map(|(name, _)| name.as_str()))
            .bind(after.map(|(_, id)| id))
            .bind(self.page.map(|page| i64::from(page.limit)))
            .fetch_all(&mut **lease)
            .await
    }

    /// For a message that has the beginning of the transaction in it as well. No page.
    fn text(&self, presented: &Presented) -> String {
        let quoted =
            |text: Option<&str>| text.map_or_else(|| String::from("null"), |t| format!("'{t}'"));
        let joined = |parts: Vec<String>| parts.join(",");
        let id = |id: &Option<Uuid>| id.map_or_else(|| String::from("null"), |id| id.to_string());
        // Quoted, or else the name `null` would be none.
        let name =
            |name: &Option<&str>| name.map_or_else(|| String::from("null"), |n| format!("\"{n}\""));
        format!(
            "select * from heddle.look('{}', '\\x{}', {}, {}, '{{{}}}', '{{{}}}', '{{{}}}', null, null, null, null)",
            presented.door.name(),
            hex::encode(&presented.credential),
            quoted(self.mesh.0.map(|id| id.to_string()).as_deref()),
            quoted(self.mesh.1),
            self.kinds.join(","),
            joined(self.ids.iter().map(id).collect()),
            joined(self.names.iter().map(name).collect()),
        )
    }
}

fn one(kind: Kind, text: &str) -> (Option<Uuid>, Option<&str>) {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    match named(kind, text) {
        Some(Named::Id(id)) => (Some(id), None),
        Some(Named::Name(name)) if name.bytes().all(plain) => (None, Some(name)),
        Some(Named::Name(_)) | None => (None, Some("")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::Door;

    #[test]
    fn no_word_of_an_address_becomes_part_of_a_statement() {
        let sought = Sought {
            mesh: "prod'; drop table x; --",
            above: vec![(Kind::Service, "null")],
            object: Some((Kind::Route, "a\",b\\}'")),
            page: None,
        };
        let presented = Presented {
            door: Door::Api,
            credential: vec![0, 255],
            claimed: None,
        };
        assert_eq!(
            Question::of(&sought).text(&presented),
            "select * from heddle.look('api', '\\x00ff', null, '', '{service,route}', '{null,null}', '{\"null\",\"\"}', \
             null, null, null, null)"
        );
    }
}
