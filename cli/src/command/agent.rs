//! `siltstone agent`: one of several servers on a metadata store and an object store that they share.
//!
//! Everything is as in `siltstone standalone`, but for this: others may live there, too. So it needs both stores named, ends nobody's
//! registration but its own, and takes a node id that no other agent has.

use crate::args::ServerArgs;
use crate::command::standalone;
use crate::failure::{Failure, Outcome};
use crate::settings::{Effective, Source, load};

/// Runs the command.
pub(crate) fn run(args: &ServerArgs) -> Outcome {
    let effective = load(&args.flags())?;
    if effective.settings.metadata_url.is_none() {
        return Err(Failure::new(
            "an agent needs a metadata store that others can share: --metadata postgres://user@host/database; \
             a server on its own is `siltstone standalone`",
        ));
    }
    if !is_given(&effective, "store.url") {
        return Err(Failure::new(
            "an agent needs an object store that others can share: --store s3://bucket/prefix, or a file:///dir that all of them see",
        ));
    }
    standalone::run_with(effective.settings)
}

fn is_given(effective: &Effective, name: &str) -> bool {
    effective.rows.iter().any(|row| row.name == name && row.source != Source::Default)
}
