//! The tables: made where there are none, recognised where there are.

use tokio_postgres::error::SqlState;

use super::options::{Address, OpenError};
use super::session::{Session, Trouble};

/// The format that this code writes, and the newest that it reads.
const FORMAT: i32 = 1;
/// PostgreSQL 13: `gen_random_uuid` without an extension.
const OLDEST_SERVER: i32 = 130_000;
const TABLES: &str = include_str!("schema.sql");

/// Makes sure that the store is there, and is one that this program knows.
pub(super) async fn ensure(session: &Session, address: &Address) -> Result<(), OpenError> {
    let unfit = |why: String| OpenError::Unfit { address: address.clone(), why };
    let failed = |trouble: Trouble| match trouble {
        Trouble::Lost(why) => OpenError::Unreachable { address: address.clone(), why },
        refused => unfit(refused.text()),
    };
    let version = "SELECT current_setting('server_version_num')::int";
    let server: i32 = session.row(version, &[]).await.map_err(failed)?.get(0);
    if server < OLDEST_SERVER {
        return Err(unfit(format!("PostgreSQL 13 or later is needed, and this is {}", server / 10_000)));
    }
    if !exists(session).await.map_err(failed)? {
        make(session).await.map_err(failed)?;
    }
    let found = session.row("SELECT format FROM siltstone_meta", &[]).await.map_err(failed)?.get(0);
    match found {
        FORMAT => Ok(()),
        found if found > FORMAT => Err(OpenError::Newer { address: address.clone(), found, known: FORMAT }),
        found => Err(unfit(format!("format {found} is not one that there was"))),
    }
}

async fn exists(session: &Session) -> Result<bool, Trouble> {
    Ok(session.row("SELECT to_regclass('siltstone_meta') IS NOT NULL", &[]).await?.get(0))
}

/// All or nothing, and only once however many agents begin at the same time.
async fn make(session: &Session) -> Result<(), Trouble> {
    // The session's lock, not a transaction's: only a transaction that begins after it is sure to see another's new table.
    session.batch("SELECT pg_advisory_lock(1397509203)").await?;
    let made = match exists(session).await? {
        true => Ok(()),
        false => session.batch(&format!("BEGIN; {TABLES}; COMMIT")).await,
    };
    match made {
        // After an error the connection is given up, and the lock with it.
        Ok(()) => session.batch("SELECT pg_advisory_unlock(1397509203)").await,
        Err(Trouble::Refused(code, why)) if code == SqlState::INSUFFICIENT_PRIVILEGE => {
            let why = format!("the user may not make tables and functions there: {why}");
            Err(Trouble::Refused(code, why))
        }
        other => other,
    }
}
