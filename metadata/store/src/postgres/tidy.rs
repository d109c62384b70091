//! Removing what no snapshot can see any more. Every agent tries; one at a time does it.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_postgres::error::SqlState;

use super::session::{Connector, Session, Trouble};

/// Most commits whose traces are removed in one transaction.
const MOST: i32 = 2_000;

/// Tidies until it is aborted. `writer` is the id under which this handle commits now.
pub(super) async fn run(connector: Connector, writer: watch::Receiver<Vec<u8>>) {
    let interval = connector.options.tidy_interval.max(Duration::from_millis(1));
    let (mut session, mut most) = (None, MOST);
    loop {
        let id = writer.borrow().clone();
        match tidy(&connector, &mut session, &id, most).await {
            // More of the same, at once.
            Ok(done) if done >= i64::from(most) => continue,
            Ok(_) => most = most.saturating_mul(2).min(MOST),
            Err(Trouble::Refused(code, _)) if code == SqlState::QUERY_CANCELED => {
                most = (most / 2).max(1);
                tracing::warn!(server = %connector.address(), most, "tidying took too long: less at once");
            }
            Err(trouble) => {
                session = None;
                tracing::warn!(server = %connector.address(), why = trouble.text(), "can't tidy the metadata store");
            }
        }
        sleep(interval).await;
    }
}

async fn tidy(
    connector: &Connector,
    session: &mut Option<Session>,
    writer: &[u8],
    most: i32,
) -> Result<i64, Trouble> {
    let session = match session {
        Some(open) if !open.is_over() => open,
        gone => gone.insert(connector.connect(|_| {}).await.map_err(Trouble::Lost)?),
    };
    let call = "SELECT siltstone_tidy_1($1, make_interval(secs => $2), make_interval(secs => $3), $4)";
    let keep = connector.options.snapshot_age.as_secs_f64();
    let told = connector.options.told_age.as_secs_f64();
    Ok(session.row(call, &[&writer, &keep, &told, &most]).await?.get(0))
}
