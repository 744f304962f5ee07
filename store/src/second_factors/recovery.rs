//! Recovery codes: for whoever has lost the second factor. Ten, shown once, each of use once; only their hashes are kept.

use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::secret;
use crate::tx::Work;

/// How many a member gets.
const COUNT: usize = 10;

/// Draws codes for a member in the place of those that it has.
pub(super) async fn draw(work: &mut Work, member: Uuid) -> Result<Vec<SecretString>> {
    delete(work, member).await?;
    let codes: std::result::Result<Vec<_>, _> =
        (0..COUNT).map(|_| secret::draw_written()).collect();
    let codes = codes.map_err(|e| Error::Database(Box::new(e)))?;
    let digests = codes
        .iter()
        .map(|code| secret::written_digest(code.expose_secret()));
    let digests: Vec<Vec<u8>> = digests.map(Option::unwrap_or_default).collect();
    let ids: Vec<Uuid> = (0..COUNT).map(|_| work.next_id()).collect();
    let query = sqlx::query(
        "insert into heddle.recovery_codes (org_id, id, principal_id, hash, created_at) \
         select $1, c.id, $2, c.hash, $3 from unnest($4::uuid[], $5::bytea[]) c (id, hash)",
    )
    .bind(work.org().uuid())
    .bind(member)
    .bind(work.now())
    .bind(ids)
    .bind(digests);
    query.execute(work.conn()).await?;
    Ok(codes)
}

/// Uses one, once.
pub(super) async fn spend(work: &mut Work, member: Uuid, hash: &[u8]) -> Result<bool> {
    let now = work.now();
    let done = sqlx::query(
        "update heddle.recovery_codes set used_at = $3 where principal_id = $1 and hash = $2 and used_at is null",
    )
    .bind(member)
    .bind(hash)
    .bind(now)
    .execute(work.conn())
    .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn delete(work: &mut Work, member: Uuid) -> Result<()> {
    sqlx::query("delete from heddle.recovery_codes where principal_id = $1")
        .bind(member)
        .execute(work.conn())
        .await?;
    Ok(())
}
