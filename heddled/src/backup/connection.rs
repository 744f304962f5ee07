//! A database's address as PostgreSQL's own programs get it: with the password in the environment, where `ps` does not show it.

use anyhow::{Context as _, bail};
use secrecy::{ExposeSecret as _, SecretString};

use crate::up::process::Spec;

/// What PostgreSQL's programs may be told about a connection by the environment, as they are used to.
const LIBPQ: [&str; 6] = [
    "PGPASSFILE",
    "PGSSLMODE",
    "PGSSLROOTCERT",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGCHANNELBINDING",
];

/// Where a database is, and as whom. Its `Debug` shows no password.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    url: String,
    password: Option<SecretString>,
}

impl Connection {
    /// Takes the password out of a `postgres://` URL.
    ///
    /// # Errors
    /// It is no such URL, or the password stands where we would not find it again.
    pub(crate) fn parse(url: &str) -> anyhow::Result<Self> {
        let wrong = "it is not postgres:// with a host, a user and a database";
        let (scheme, rest) = url.split_once("://").context(wrong)?;
        if !["postgres", "postgresql"].contains(&scheme) {
            bail!(wrong);
        }
        if rest
            .split(['?', '&'])
            .any(|part| part.starts_with("password="))
        {
            bail!("a password stands before the host: postgres://user:password@host/database");
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        // It would stand where everybody sees what runs.
        if tail.contains('@') {
            bail!("in a user or password, `/`, `?` and `@` are written as %2F, %3F and %40");
        }
        let Some((who, host)) = authority.rsplit_once('@') else {
            return Ok(Self {
                url: url.to_owned(),
                password: None,
            });
        };
        let (user, password) = match who.split_once(':') {
            Some((user, password)) => (user, Some(decoded(password)?)),
            None => (who, None),
        };
        Ok(Self {
            url: format!("{scheme}://{user}@{host}{tail}"),
            password,
        })
    }

    /// Adds the address to a program's arguments, and the rest to its environment.
    pub(crate) fn to(&self, spec: Spec) -> Spec {
        let mut spec = spec.args(["--no-password", "--dbname", self.url.as_str()]);
        if let Some(password) = &self.password {
            let password = password.expose_secret().to_owned();
            spec.env.push(("PGPASSWORD", password));
        } else if let Some(password) = std::env::var_os("PGPASSWORD") {
            let password = password.to_string_lossy().into_owned();
            spec.env.push(("PGPASSWORD", password));
        }
        let inherited = LIBPQ.iter().filter_map(|name| {
            let value = std::env::var_os(name)?;
            Some((*name, value.to_string_lossy().into_owned()))
        });
        spec.env.extend(inherited);
        spec
    }
}

fn decoded(text: &str) -> anyhow::Result<SecretString> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = match (first, after) {
            (b'%', [a, b, after @ ..]) => {
                let digits = [*a, *b];
                let byte = hex::decode(digits)
                    .ok()
                    .and_then(|bytes| bytes.first().copied());
                (
                    byte.context("a % in a password is not followed by two digits")?,
                    after,
                )
            }
            (b'%', _) => bail!("a % in a password is not followed by two digits"),
            _ => (*first, after),
        };
        out.push(byte);
        rest = after;
    }
    let text = String::from_utf8(out).ok();
    Ok(text.context("a password is not UTF-8")?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_k01_a_password_leaves_the_url() {
        let parsed =
            Connection::parse("postgres://me:p%40ss:w@db.example:5433/heddle?sslmode=require");
        let parsed = parsed.unwrap();
        assert_eq!(
            parsed.url,
            "postgres://me@db.example:5433/heddle?sslmode=require"
        );
        assert_eq!(parsed.password.as_ref().unwrap().expose_secret(), "p@ss:w");
        assert!(!format!("{parsed:?}").contains("p@ss"));
    }

    #[test]
    fn what_has_no_password_stays_as_it_is() {
        for url in [
            "postgres:///heddle?host=%2Frun%2Fpg&user=heddle_admin",
            "postgresql://me@db/heddle",
        ] {
            let parsed = Connection::parse(url).unwrap();
            assert_eq!(
                (parsed.url.as_str(), parsed.password.is_none()),
                (url, true)
            );
        }
    }

    #[test]
    fn what_is_no_url_of_postgres_or_hides_a_password_is_refused() {
        for url in [
            "heddle",
            "mysql://db/heddle",
            "postgres://db/heddle?user=me&password=hunter2",
            "postgres://me:%4@db/heddle",
        ] {
            let error = format!("{:#}", Connection::parse(url).unwrap_err());
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
